"""Office files that are ZIPs: OOXML (ECMA-376), OpenDocument, EPUB. All text in them, shown or not."""

from __future__ import annotations

import re
from typing import Any

from services.common.extraction.budget import Stop
from services.common.extraction.kinds import PICTURES, true_type
from services.common.extraction.readers import html, markup, sheets
from services.common.extraction.readers.plain import decode
from services.common.extraction.readers.zips import opened, unpack
from services.common.extraction.walk import Reading

_SHEETS = frozenset({"xlsx", "xlsm", "xlsb"})
_NO_TEXT = re.compile(
    r"(?:^|/)(?:styles|stylesWithEffects|settings|webSettings|fontTable|numbering|presProps|viewProps|tableStyles"
    r"|calcChain|theme\d*|\[Content_Types\]|container|encryption|signatures|configurations2?)\.(?:xml|bin)$|^xl/styles"
)
_PICTURE = re.compile(r"\.(?:png|jpe?g|gif|bmp|tiff?|emf|wmf|svg|webp|fntdata|odttf|ttf|otf|woff2?|css|ncx|opf)$", re.I)
_MAX_XML = 32 * 1024 * 1024


class _Package:
    """The parts of one file, each unpacked once."""

    def __init__(self, archive: Any, size: int, reading: Reading) -> None:
        self._archive, self._reading = archive, reading
        self._account = reading.unpacking(size)
        self.infos = {i.filename: i for i in archive.infolist() if not i.filename.endswith("/")}

    def get(self, name: str) -> bytes:
        """The bytes of a part; empty, and the file in trouble, where it does not unpack."""
        info = self.infos[name]
        if info.flag_bits & 1:
            self._reading.encrypted = True
            self._reading.trouble("encrypted")
            return b""
        try:
            return unpack(self._archive, info, self._account)
        except (Stop, MemoryError):
            raise
        except Exception:
            # One part that does not unpack says nothing of the others.
            self._reading.trouble("broken")
            return b""

    def text(self, name: str) -> None:
        """The text of an XML part."""
        data = self.get(name)
        if len(data) > _MAX_XML:
            self._reading.trouble("too_large")
            data = b""
        try:
            self._reading.text(markup.text(data))
        except ValueError:
            # What is no XML may be text all the same.
            self._reading.trouble("broken")
            self._reading.text(decode(data))


def read_ooxml(content: bytes, reading: Reading) -> None:
    """Body, notes, comments, headers, hidden sheets and slides, properties, links; what is embedded, as members."""
    reading.text("")
    with opened(content) as archive:
        package = _Package(archive, len(content), reading)
        names = _in_order(package.infos)
        if any(n.startswith("xl/") for n in names):
            sheets.read(package.get, names, reading)
        for name in names:
            lower = name.lower()
            if lower.endswith("vbaproject.bin") or "/macrosheets/" in lower:
                reading.macros = True
            if lower.endswith("vbaproject.bin"):
                continue
            if lower.endswith(".rels"):
                reading.text(markup.external_targets(package.get(name)))
            elif lower.endswith((".xml", ".vml")):
                if not _NO_TEXT.search(name) and not sheets.is_part(name):
                    package.text(name)
            elif not _NO_TEXT.search(name) and not sheets.is_part(name):
                _embedded(name, package, reading)


def read_odf(content: bytes, reading: Reading) -> None:
    """Content, styles (headers and footers are there), metadata; what is embedded, as members."""
    reading.text("")
    with opened(content) as archive:
        package = _Package(archive, len(content), reading)
        manifest = package.get("META-INF/manifest.xml") if "META-INF/manifest.xml" in package.infos else b""
        if b"encryption-data" in manifest:
            reading.encrypted = True
            reading.trouble("encrypted")
            return
        for name in package.infos:
            if name.startswith(("Basic/", "Scripts/")):
                reading.macros = True
            if name.endswith(".xml"):
                if not name.startswith(("META-INF/", "settings", "Configurations2/")):
                    package.text(name)
            elif name not in ("mimetype", "layout-cache", "manifest.rdf"):
                _embedded(name, package, reading)


def read_epub(content: bytes, reading: Reading) -> None:
    """Every page."""
    reading.text("")
    with opened(content) as archive:
        package = _Package(archive, len(content), reading)
        if "META-INF/encryption.xml" in package.infos and b"EncryptedKey" in package.get("META-INF/encryption.xml"):
            reading.encrypted = True
            reading.trouble("encrypted")
        for name in package.infos:
            if name.lower().endswith((".xhtml", ".html", ".htm")):
                for text in html.texts(decode(package.get(name))):
                    reading.text(text)
            elif name.lower().endswith((".opf", ".ncx", ".xml")):
                if not name.startswith("META-INF/"):
                    package.text(name)
            elif name != "mimetype":
                _embedded(name, package, reading)


def _embedded(name: str, package: _Package, reading: Reading) -> None:
    """A part that is no text: a picture is nothing to read, anything else is a file."""
    data = package.get(name)
    kind = true_type(data)
    if kind in PICTURES or (kind == "unknown" and _PICTURE.search(name)) or "printersettings" in name.lower():
        return
    if data:
        reading.member(name, data)


def _in_order(names: Any) -> list[str]:
    def key(name: str) -> tuple[int, list[int], str]:
        main = 0 if name.startswith(("word/document", "xl/", "ppt/slides/")) else 1
        return main, [int(n) for n in re.findall(r"\d{1,6}", name)], name

    return sorted(names, key=key)
