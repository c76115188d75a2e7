"""A sought text is found exactly where it stands, in any script, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.common.search import words


def holds(text: str, sought: str) -> bool:
    """What the index does with a phrase: its words at consecutive positions, by the reading that can find it."""
    read = words.characters if words.needs_characters(sought) else words.words
    there, wanted = read(text), read(sought)
    return any(there[i : i + len(wanted)] == wanted for i in range(len(there) - len(wanted) + 1))


@pytest.mark.parametrize(
    ("text", "sought", "found"),
    [
        ("這份機密文件請勿外流", "機密文件", True),
        ("這份機密文件請勿外流", "密文", True),
        ("這份機密文件請勿外流", "密件", False),
        ("這份機密文件請勿外流", "机密文件", True),
        ("这份机密文件", "機密", True),
        ("機密\r\n文件", "機密文件", True),
        ("機密 文件", "機密文件", False),
        ("最機密ABC計畫", "機密abc", True),
        ("ABC新機密", "ABC機密", False),
        ("他姓王。", "王", True),
        ("他姓王。", "玉", False),
        ("密ABC", "密abc", True),
        ("機密ABC", "密abc", True),
        ("ｆｕｌｌ　ｗｉｄｔｈ", "full width", True),
        ("se\u00adcret", "secret", True),
        ("Straße", "STRASSE", True),
        ("secrets", "secret", False),
        ("foo@bar.example", "bar.example", True),
        ("パスワードは", "スワード", True),
        ("비밀번호", "밀번", True),
        ("a b c", "a c", False),
    ],
)  # fmt: skip
def test_what_is_found(text: str, sought: str, found: bool) -> None:
    """Exact: no stemming, CJK by substring, scripts and widths alike."""
    assert holds(text, sought) is found


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="機密文件王小明ABCabc12 。,-", min_size=1, max_size=40), st.data())
def test_any_cjk_substring_is_found(text: str, data: st.DataObject) -> None:
    """Every substring that does not cut a word of letters is found, whatever is around it."""
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    sought = text[start:end]
    assume(words.words(sought))
    for cut in (start, end):
        before, after = text[cut - 1 : cut], text[cut : cut + 1]
        assume(not (before.isascii() and after.isascii() and before.isalnum() and after.isalnum()))
    assert holds(text, sought)


@given(st.text(max_size=60))
def test_folding_is_stable(text: str) -> None:
    """Folding twice is folding once, so that a text and a part of it fold alike."""
    assert words.fold(words.fold(text)) == words.fold(text)


def test_an_address_is_found_by_its_parts() -> None:
    """The whole, the local part, the domain and each parent; not by a domain that only ends alike."""
    terms = words.address_terms("Alice@Mail.Acme.Example")
    for sought in ("alice@mail.acme.example", "ALICE@", "mail.acme.example", "acme.example", "@example"):
        assert words.address_term(sought) in terms
    for sought in ("cme.example", "lice@", "bob@mail.acme.example", "alice@acme.example", "alice"):
        assert words.address_term(sought) not in terms
