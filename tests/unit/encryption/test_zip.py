"""The ZIP adapter against the real programs that people open it with."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
import zlib
from itertools import pairwise
from pathlib import Path

import libarchive
import pytest
import pyzipper
from pyzipper import zipfile as private
from pyzipper import zipfile_aes

from services.encryption.adapters import zip as adapter
from services.encryption.core.package import Entry

PASSWORD = "k7mq-x2vd-9hpt-4wze-b8nc"
TEXT = "機密 contract, confidential. ".encode() * 40_000
NOISE = os.urandom(300_000)
ENTRIES = [
    Entry("index.html", b"<p>index</p>"),
    Entry("1.txt", TEXT),
    Entry("2.bin", NOISE),
    Entry("\u6a94.txt", b"named in UTF-8"),
    Entry("empty", b""),
]
SEVEN = shutil.which("7zz") or shutil.which("7z")
BSDTAR = shutil.which("bsdtar")


def packed(entries: list[Entry] = ENTRIES, password: str = PASSWORD) -> bytes:
    """An archive in memory."""
    sink = io.BytesIO()
    adapter.write(sink, entries, password)
    return sink.getvalue()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive as a file."""
    path = tmp_path_factory.mktemp("zip") / "sealed.zip"
    path.write_bytes(packed())
    return path


@pytest.mark.skipif(SEVEN is None, reason="no 7-Zip here")
def test_7zip_opens_it_with_the_password_only(archive: Path, tmp_path: Path) -> None:
    """Every byte comes out with the password, and nothing without."""
    assert SEVEN is not None
    out = subprocess.run([SEVEN, "x", "-y", f"-p{PASSWORD}", f"-o{tmp_path}", str(archive)], capture_output=True)
    assert out.returncode == 0, out.stdout[-500:]
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {e.name: e.content for e in ENTRIES}
    for wrong in ("-pwrong", "-p"):
        assert subprocess.run([SEVEN, "t", "-y", wrong, str(archive)], capture_output=True).returncode != 0


@pytest.mark.skipif(BSDTAR is None, reason="no bsdtar here")
def test_bsdtar_opens_it(archive: Path, tmp_path: Path) -> None:
    """libarchive reads it too."""
    assert BSDTAR is not None
    subprocess.run([BSDTAR, "-xf", str(archive), "--passphrase", PASSWORD, "-C", str(tmp_path)], check=True)
    assert (tmp_path / "1.txt").read_bytes() == TEXT


def test_libarchive_opens_it(archive: Path) -> None:
    """What bsdtar, file managers and our own inspection read with."""
    with libarchive.file_reader(str(archive), passphrase=PASSWORD) as opened:
        assert {e.pathname: b"".join(e.get_blocks()) for e in opened} == {e.name: e.content for e in ENTRIES}


def test_pyzipper_opens_it_and_refuses_another_password(archive: Path) -> None:
    """The third reader; a changed byte does not pass."""
    with pyzipper.AESZipFile(archive) as opened:
        opened.setpassword(PASSWORD.encode())
        assert {n: opened.read(n) for n in opened.namelist()} == {e.name: e.content for e in ENTRIES}
        opened.setpassword(b"wrong")
        with pytest.raises(RuntimeError):
            opened.read("1.txt")
    data = bytearray(archive.read_bytes())
    data[data.index(NOISE[-1:], 1000)] ^= 1
    with pyzipper.AESZipFile(io.BytesIO(bytes(data))) as opened:
        opened.setpassword(PASSWORD.encode())
        with pytest.raises((RuntimeError, zipfile.BadZipFile, private.BadZipFile, zlib.error)):
            for name in opened.namelist():
                opened.read(name)


def test_it_is_ae2_with_256_bits_a_salt_each_and_no_checksum(archive: Path) -> None:
    """What the directory says of an entry is its name, its sizes, and the method."""
    with pyzipper.AESZipFile(archive) as opened:
        infos = opened.infolist()
        for info in infos:
            assert (info.wz_aes_version, info.wz_aes_strength, info.CRC) == (2, 3, 0)
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert (info.comment, info.flag_bits & 1) == (b"", 1)
        methods = {i.filename: i.compress_type for i in infos}
        assert methods["1.txt"] == pyzipper.ZIP_DEFLATED
        assert methods["2.bin"] == pyzipper.ZIP_STORED
        assert infos[3].flag_bits & 0x800
    salts = set()
    data = archive.read_bytes()
    for info in infos:
        start = (
            info.header_offset + 30 + int.from_bytes(data[info.header_offset + 26 : info.header_offset + 28], "little")
        )
        start += int.from_bytes(data[info.header_offset + 28 : info.header_offset + 30], "little")
        salts.add(data[start : start + 16])
    assert len(salts) == len(infos)


def test_nothing_of_the_content_is_in_clear(archive: Path) -> None:
    """No text, no word of it, not its checksum."""
    data = archive.read_bytes()
    for secret in (b"confidential", "機密".encode(), b"<p>index", zlib.crc32(TEXT).to_bytes(4, "little")):
        assert secret not in data


def test_a_sink_without_seek_is_enough() -> None:
    """It can be written while it is sent."""

    class Pipe(io.RawIOBase):
        data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, piece: object) -> int:
            self.data += bytes(piece)  # type: ignore[call-overload]
            return len(bytes(piece))  # type: ignore[call-overload]

    pipe = Pipe()
    adapter.write(pipe, ENTRIES, PASSWORD)  # type: ignore[arg-type]
    with pyzipper.AESZipFile(io.BytesIO(bytes(pipe.data))) as opened:
        opened.setpassword(PASSWORD.encode())
        assert opened.read("1.txt") == TEXT


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1_048_559, 1_048_560, 1_048_577, 2_500_000])
def test_key_stream_is_that_of_pyzipper_wherever_it_is_cut(size: int) -> None:
    """Windows of a mebibyte and pieces of any size join without a seam."""
    key, data = os.urandom(32), os.urandom(size)
    stream = adapter.KeyStream(key)
    cuts = [0, *sorted({size // 7, size // 3, size // 2 + 1, size}), size]
    ours = b"".join(bytes(stream.apply(data[a:b])) for a, b in pairwise(cuts))
    reference = zipfile_aes.AES.new(
        key, zipfile_aes.AES.MODE_CTR, counter=zipfile_aes.Counter.new(nbits=128, little_endian=True)
    )
    assert ours == reference.encrypt(data)


def test_pyzipper_still_has_the_names_that_are_replaced() -> None:
    """The speed hangs on these private names; without them it would silently be pyzipper's own."""
    assert pyzipper.AESZipFile.zipwritefile_cls is private._ZipWriteFile
    for name in ("encrypt", "flush", "encryption_header", "update_zipinfo", "finalize_zipinfo"):
        assert callable(getattr(zipfile_aes.AESZipEncrypter, name))
    sink = io.BytesIO()
    made: list[object] = []

    class Watched(adapter._WriteFile):
        def close(self) -> None:
            made.append((type(self._compressor).__module__, type(self._encrypter)))
            super().close()

    class Archive(adapter._Archive):
        zipwritefile_cls = Watched

    with Archive(sink, "w", compression=pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as opened:
        opened.setpassword(b"x")
        opened.writestr("1.txt", TEXT)
    assert made == [("isal.isal_zlib", adapter._Encrypter)] or made == [("isal_zlib", adapter._Encrypter)]


def test_no_password_no_archive() -> None:
    """An empty password would be a plain archive."""
    with pytest.raises(ValueError, match="password"):
        adapter.write(io.BytesIO(), ENTRIES, "")
