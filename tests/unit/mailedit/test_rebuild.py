"""Whatever a mail is like: nothing is raised, and the original comes back byte for byte."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.common.errors import Corrupt, NotFound
from services.common.mailedit import Wish, apply_transforms, rebuild

WISHES = st.lists(
    st.one_of(
        st.builds(
            lambda text, position: Wish("banner", "b", {"text": text, "position": position}),
            st.sampled_from(["External mail", "外部郵件\n請小心", "--b", "x" * 2000, "<b>&\u202e", "\x00"]),
            st.sampled_from(["before", "after"]),
        ),
        st.builds(
            lambda glob: Wish("strip", "s", {"attachments": glob, "why": "不可"}), st.sampled_from(["*", "*.exe"])
        ),
        st.builds(
            lambda prefix: Wish("tag", "t", {"subject_prefix": prefix, "header": {"name": "X-A", "value": "é"}}),
            st.sampled_from(["[external]", "【外部】", " "]),
        ),
    ),
    max_size=5,
)
LINES = st.sampled_from(
    [
        b"",
        b"--b",
        b"--b--",
        b"--c",
        b"--c--",
        b"Content-Type: multipart/mixed; boundary=b",
        b"Content-Type: multipart/alternative; boundary=c",
        b"Content-Type: multipart/signed; boundary=c",
        b"Content-Type: text/plain; charset=big5",
        b"Content-Type: text/plain; charset=iso-2022-jp",
        b"Content-Type: text/html; charset=utf-16",
        b"Content-Type: text/html",
        b"Content-Type: message/rfc822",
        b"Content-Type: application/x; name=a.exe",
        b"Content-Disposition: attachment; filename*=utf-8''%E4%B8%AD.exe",
        b"Content-Transfer-Encoding: base64",
        b"Content-Transfer-Encoding: quoted-printable",
        b"Subject: hello",
        b"Subject: =?utf-8?b?5Lit?=",
        b"SGVsbG8=",
        b"SGVs",
        b"a=3D=",
        b"=E4=B8=AD  ",
        b"<html><body bgcolor='x>y'>",
        b"<!-- <body>",
        b"</body></html>",
        "中文".encode(),
        "中文".encode("big5"),
        b"\x1b$B<h<l\x1b(B",
        b"-----BEGIN PGP SIGNED MESSAGE-----",
    ]
)
MAILS = st.one_of(
    st.lists(LINES, max_size=25).map(b"\r\n".join),
    st.lists(st.one_of(LINES, st.sampled_from([b"\n", b"\r", b"\0", b"\r\n"])), max_size=40).map(b"".join),
    st.binary(max_size=200),
)


@settings(max_examples=400, deadline=None)
@given(MAILS, WISHES)
@example(b"", [Wish("banner", "b", {"text": "x"})])
@example(b"\r\0\n\n\0\r\0", [])
def test_the_original_comes_back_from_what_was_delivered(raw: bytes, wishes: list[Wish]) -> None:
    """With the manifest alone; what leaves has clean newlines."""
    edited = apply_transforms(raw, wishes)
    pairs = edited.content.count(b"\r\n")
    assert edited.content.count(b"\n") == edited.content.count(b"\r") == pairs
    assert b"\0" not in edited.content
    if edited.differs:
        assert rebuild(edited.content, edited.manifest) == raw
    else:
        assert edited.content == raw


@settings(max_examples=200, deadline=None)
@given(MAILS, WISHES)
def test_everything_outside_the_spans_is_what_came_in(raw: bytes, wishes: list[Wish]) -> None:
    """The spans of the manifest are all that differs."""
    edited = apply_transforms(raw, wishes)
    if not edited.differs or edited.normalised:
        return
    original, delivered = 0, 0
    for span in json.loads(edited.manifest)["spans"]:
        (start, size), (at, length) = span["original"], span["delivered"]
        assert raw[original:start] == edited.content[delivered:at]
        original, delivered = start + size, at + length
    assert raw[original:] == edited.content[delivered:]


def test_a_large_attachment_is_kept_once_and_comes_back_with_the_archived_mail() -> None:
    """By its hash in the manifest; another mail, or none, is not taken for it."""
    noise = random.Random(7).randbytes(400_000).hex().encode()
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n"
        b"Content-Disposition: attachment; filename=a.exe\r\n\r\n" + noise + b"\r\n--b--\r\n"
    )
    edited = apply_transforms(raw, [Wish("strip", "s", {"attachments": "*.exe"})])
    assert len(edited.manifest) < 2000
    assert len(edited.content) < 1000
    assert rebuild(edited.content, edited.manifest, archived=raw) == raw
    with pytest.raises(NotFound):
        rebuild(edited.content, edited.manifest)
    with pytest.raises(Corrupt):
        rebuild(edited.content, edited.manifest, archived=raw.replace(b"0", b"1"))
    with pytest.raises(Corrupt):
        rebuild(edited.content + b"x", edited.manifest, archived=raw)


@pytest.mark.parametrize("manifest", [b"", b"{}", b"[]", b'{"delivered":1}'])
def test_a_malformed_manifest_is_told(manifest: bytes) -> None:
    """As corrupt, not as a crash."""
    with pytest.raises(Corrupt):
        rebuild(b"x", manifest)


def test_every_mail_of_the_corpus_survives() -> None:
    """Real and crafted mails, with every change at once."""
    wishes = [
        Wish("banner", "b", {"text": "外部郵件"}),
        Wish("strip", "s", {"attachments": "*", "why": "no"}),
        Wish("tag", "t", {"subject_prefix": "[外]"}),
    ]
    found = list((Path(__file__).parents[2] / "corpus").rglob("*.eml"))
    assert found
    for path in found:
        raw = path.read_bytes()
        edited = apply_transforms(raw, wishes)
        assert rebuild(edited.content, edited.manifest, archived=raw) == raw
