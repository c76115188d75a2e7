"""RTF (1.9.1): text of every destination that people read, hidden text too; embedded objects as members."""

from __future__ import annotations

import codecs
import re
import struct

from services.common.extraction.walk import Reading

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|[\r\n]+|([^\\{}\r\n]+)"
)
_SKIPPED = frozenset(
    {b"fonttbl", b"colortbl", b"stylesheet", b"pict", b"themedata", b"colorschememapping", b"datastore", b"listtable",
     b"listoverridetable", b"rsidtbl", b"generator", b"latentstyles", b"xmlnstbl", b"bkmkstart", b"bkmkend"}
)  # fmt: skip
_CHARACTERS = {
    b"par": "\n", b"line": "\n", b"sect": "\n", b"page": "\n", b"row": "\n", b"cell": "\t", b"tab": "\t",
    b"emdash": "—", b"endash": "–", b"lquote": "‘", b"rquote": "’", b"ldblquote": "“", b"rdblquote": "”",
    b"bullet": "•",
}  # fmt: skip
_SYMBOLS = {b"~": " ", b"_": "-", b"{": "{", b"}": "}", b"\\": "\\", b"\n": "\n", b"\r": "\n"}
_MAX_DEPTH = 2000
_LZFU, _STORED = 0x75465A4C, 0x414C454D
_PRELOAD = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans "
    rb"SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
_MAX_RAW = 64 * 1024 * 1024


def read_rtf(content: bytes, reading: Reading) -> None:
    """All text."""
    reading.text("")
    _Reader(reading).read(content)


class _Reader:
    """The groups of one file; a group ends what it changed."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._codec = "cp1252"
        self._unicode_skip, self._skip = 1, 0
        self._stack: list[tuple[bool, int, bool]] = []
        self._silent = self._object = False
        self._bytes = bytearray()
        self._out: list[str] = []
        self._hex: list[bytes] = []
        self._high = 0

    def read(self, content: bytes) -> None:
        """Everything in it."""
        for number, token in enumerate(_TOKEN.finditer(content)):
            if number % 10_000 == 0:
                self._reading.budget.check()
            word, parameter, code, symbol, brace, run = token.groups()
            if brace:
                self._brace(brace)
            elif word:
                self._word(word, None if parameter is None else int(parameter))
            elif code:
                self._byte(bytes.fromhex(code.decode()))
            elif symbol:
                self._symbol(symbol)
            elif run:
                self._run(run)
        self._flush()
        self._reading.text("".join(self._out))
        if self._stack:
            self._reading.trouble("broken")

    def _brace(self, brace: bytes) -> None:
        self._flush()
        if brace == b"{":
            if len(self._stack) >= _MAX_DEPTH:
                raise ValueError("groups too deep")
            self._stack.append((self._silent, self._unicode_skip, self._object))
        elif self._stack:
            was_object = self._object
            self._silent, self._unicode_skip, self._object = self._stack.pop()
            if was_object and not self._object:
                self._embedded()
        self._skip = 0

    def _word(self, word: bytes, parameter: int | None) -> None:
        if word == b"u" and parameter is not None:
            self._unicode(parameter & 0xFFFF)
            self._skip = self._unicode_skip
            return
        self._flush()
        if word in _SKIPPED:
            self._silent = True
        elif word == b"objdata":
            self._object = True
        elif word == b"ansicpg" and parameter:
            self._codec = _codec(parameter)
        elif word == b"uc" and parameter is not None:
            self._unicode_skip = max(0, min(parameter, 100))
        elif word in _CHARACTERS and not self._silent:
            self._out.append(_CHARACTERS[word])

    def _unicode(self, unit: int) -> None:
        self._flush()
        if self._silent:
            return
        if 0xD800 <= unit < 0xDC00:
            self._high = unit
        elif 0xDC00 <= unit < 0xE000 and self._high:
            self._out.append(chr(0x10000 + ((self._high - 0xD800) << 10) + unit - 0xDC00))
            self._high = 0
        else:
            self._out.append(chr(unit))

    def _symbol(self, symbol: bytes) -> None:
        self._flush()
        if not self._silent and symbol in _SYMBOLS:
            self._out.append(_SYMBOLS[symbol])

    def _byte(self, byte: bytes) -> None:
        if self._skip:
            self._skip -= 1
        elif not self._silent:
            self._bytes += byte

    def _run(self, run: bytes) -> None:
        if self._object:
            self._hex.append(run)
            return
        if self._skip:
            cut = min(self._skip, len(run))
            self._skip -= cut
            run = run[cut:]
        if not self._silent:
            self._bytes += run

    def _flush(self) -> None:
        if self._bytes:
            self._out.append(self._bytes.decode(self._codec, "replace"))
            self._bytes.clear()

    def _embedded(self) -> None:
        """An OLE 1 object: version, kind, three counted strings, then the counted bytes (MS-OLEDS 2.2)."""
        digits = re.sub(rb"[^0-9a-fA-F]", b"", b"".join(self._hex))
        self._hex.clear()
        data = bytes.fromhex(digits[: len(digits) // 2 * 2].decode())
        at = 8
        try:
            for _ in range(3):
                at += 4 + struct.unpack_from("<I", data, at)[0]
            (size,) = struct.unpack_from("<I", data, at)
            data = data[at + 4 : at + 4 + size]
        except struct.error:
            self._reading.trouble("broken")
        if data:
            self._reading.budget.unpacked(len(data))
            self._reading.member("", data)


def decompressed(data: bytes) -> bytes:
    """RTF as mails of Outlook carry it (MS-OXRTFCP); raises `ValueError`, `struct.error`."""
    _, size, kind, _ = struct.unpack_from("<IIII", data)
    if kind == _STORED:
        return data[16 : 16 + size]
    if kind != _LZFU or size > _MAX_RAW:
        raise ValueError("no compressed RTF")
    window = bytearray(4096)
    window[: len(_PRELOAD)] = _PRELOAD
    at, write, out = 16, len(_PRELOAD), bytearray()
    while at < len(data) and len(out) < size:
        flags = data[at]
        at += 1
        for bit in range(8):
            step = 1 + (flags >> bit & 1)
            if at + step > len(data):
                break
            if step == 1:
                taken = data[at : at + 1]
            else:
                (reference,) = struct.unpack_from(">H", data, at)
                if reference >> 4 == write % 4096:
                    return bytes(out[:size])
                taken = _repeated(window, reference >> 4, write, (reference & 15) + 2)
            at += step
            for byte in taken:
                window[write % 4096] = byte
                write += 1
            out += taken
    return bytes(out[:size])


def _repeated(window: bytearray, offset: int, write: int, length: int) -> bytes:
    """What stands at `offset`; it may reach into what it writes itself."""
    distance = (write - offset) % 4096
    taken = bytearray()
    for i in range(length):
        taken.append(taken[i - distance] if i >= distance else window[(offset + i) % 4096])
    return bytes(taken)


def _codec(page: int) -> str:
    name = {65001: "utf-8", 10000: "mac_roman"}.get(page, f"cp{page}")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "cp1252"
