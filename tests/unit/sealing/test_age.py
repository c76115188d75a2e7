"""The age writer and the library open each other's files; whatever was changed is refused."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.errors import Corrupt, InvalidInput
from services.common.sealing import age

BORDERS = [0, 1, 65535, 65536, 65537, 131071, 131072, 131073, 1_000_003]
PAIRS = [age.generate() for _ in range(3)]
RECIPIENTS = [p[1] for p in PAIRS]


@pytest.mark.parametrize("size", BORDERS)
@pytest.mark.parametrize("who", [0, 1, 2])
def test_library_opens_what_we_wrote_for_each_recipient(size: int, who: int) -> None:
    """Every chunk border, every recipient."""
    data = bytes(i * 31 % 251 for i in range(size))
    sealed = age.encrypt(data, RECIPIENTS)
    assert pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(PAIRS[who][0])]) == data


@pytest.mark.parametrize("size", BORDERS)
def test_we_open_what_the_library_wrote(size: int) -> None:
    """Interoperation the other way, whole and as a stream."""
    data = b"x" * size
    sealed = pyrage.encrypt(data, [pyrage.x25519.Recipient.from_str(r) for r in RECIPIENTS])
    assert age.decrypt(sealed, [PAIRS[1][0]]) == data
    sink = io.BytesIO()
    age.decrypt_stream(io.BytesIO(sealed), sink, [PAIRS[2][0]])
    assert sink.getvalue() == data


@pytest.mark.parametrize("step", [1, 7, 4096, 65535, 65536, 65537, 200_000])
def test_pieces_of_any_size_make_the_same_file(step: int) -> None:
    """Only the concatenation counts."""
    data = bytes(i % 253 for i in range(65536 * 2 if step > 1 else 66_000))
    encryptor = age.Encryptor(RECIPIENTS[:1])
    sealed = b"".join(encryptor.update(data[i : i + step]) for i in range(0, len(data), step)) + encryptor.finish()
    assert age.decrypt(sealed, [PAIRS[0][0]]) == data
    assert len(sealed) == len(age.encrypt(data, RECIPIENTS[:1]))


@settings(deadline=None)
@given(st.lists(st.binary(max_size=70_000), max_size=6))
def test_any_split_opens_to_the_joined_pieces(pieces: list[bytes]) -> None:
    """Empty pieces included."""
    encryptor = age.Encryptor(RECIPIENTS[:1])
    sealed = b"".join([*(encryptor.update(p) for p in pieces), encryptor.finish()])
    assert age.decrypt(sealed, [PAIRS[0][0]]) == b"".join(pieces)


def test_memory_stays_at_one_chunk() -> None:
    """What goes in comes out, but for the chunk that may be the last."""
    encryptor = age.Encryptor(RECIPIENTS)
    out = sum(len(encryptor.update(bytes(100_000))) for _ in range(50))
    assert out >= 5_000_000 - age.CHUNK


@settings(deadline=None)
@given(st.data())
def test_each_changed_byte_is_noticed(data: st.DataObject) -> None:
    """A flipped bit anywhere, a cut anywhere, junk at the end: Corrupt, never plain bytes."""
    sealed = SEALED
    position = data.draw(st.integers(0, len(sealed) - 1))
    changed = bytearray(sealed)
    changed[position] ^= 1 << data.draw(st.integers(0, 7))
    for bad in (bytes(changed), sealed[:position], sealed + b"\0"):
        with pytest.raises(Corrupt):
            age.decrypt(bad, [PAIRS[0][0]])


SEALED = age.encrypt(b"evidence" * 10_000, RECIPIENTS[:1])


def test_wrong_identity_is_told_apart_from_damage() -> None:
    """NoKey lets a reader try another day's key."""
    with pytest.raises(age.NoKey):
        age.decrypt(SEALED, [PAIRS[1][0]])
    with pytest.raises(Corrupt) as caught:
        age.decrypt(SEALED[:-1] + bytes([SEALED[-1] ^ 1]), [PAIRS[0][0]])
    assert not isinstance(caught.value, age.NoKey)


@pytest.mark.parametrize(
    "bad", ["", "age1", RECIPIENTS[0][:-1] + "q", RECIPIENTS[0].upper(), "x" * 62, "age1" + "q" * 58]
)
def test_malformed_recipients_are_refused(bad: str) -> None:
    """A typing error is never sealed to."""
    with pytest.raises(InvalidInput):
        age.encrypt(b"", [bad])


def test_no_recipients_is_refused() -> None:
    """Nobody could open it."""
    with pytest.raises(InvalidInput):
        age.Encryptor([])


def test_recipient_follows_from_identity() -> None:
    """The public half can be made again from the private."""
    assert age.recipient_of(PAIRS[0][0]) == PAIRS[0][1]
    with pytest.raises(InvalidInput):
        age.recipient_of("AGE-SECRET-KEY-1NO")


@pytest.mark.skipif(shutil.which("age") is None, reason="age's own program is not installed")
@pytest.mark.parametrize("size", [0, 1, age.CHUNK - 1, age.CHUNK, age.CHUNK + 1, 1_000_000])
def test_ages_own_program_opens_ours_and_we_open_its(tmp_path: Path, size: int) -> None:
    """The format is age's, not ours: either side reads the other's files."""
    (one, first), (two, second) = age.generate(), age.generate()
    data = os.urandom(size)
    sealed = tmp_path / "sealed.age"
    sealed.write_bytes(age.encrypt(data, [first, second]))
    for identity in (one, two):
        key = tmp_path / "key"
        key.write_text(identity + "\n")
        assert subprocess.run(["age", "-d", "-i", key, sealed], capture_output=True, check=True).stdout == data
    theirs = subprocess.run(["age", "-r", first, "-r", second], input=data, capture_output=True, check=True).stdout
    assert age.decrypt(theirs, [two]) == data
