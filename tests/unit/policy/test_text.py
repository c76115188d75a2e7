"""Normalised text, and the way back to where it stood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.core.html import read_html, too_deep, without_tags
from services.policy.core.text import mask, normalise, original_span


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("４１１１", "4111"),
        ("ﬁle", "file"),
        ("sec\u200bret", "secret"),
        ("s\u00ade\u2060c\ufeffret", "secret"),
        ("e\u0301", "é"),
        ("e\u200d\u0301", "é"),
        ("a\u202eb", "ab"),
        ("機\ufe00密", "機密"),
        ("\u00a0", " "),
    ],
)
def test_normal_form(text: str, expected: str) -> None:
    """One form for what looks alike, and nothing that cannot be seen."""
    assert normalise(text) == expected


def test_spans_lead_back() -> None:
    """A span of the normal form is found in the original, whole characters with all that belongs to them."""
    original = "卡 ４１\u200b１１ ﬁn e\u0301x"
    text = normalise(original)
    start = text.index("4111")
    first, last = original_span(original, start, start + 4)
    assert original[first:last] == "４１\u200b１１"
    start = text.index("é")
    first, last = original_span(original, start, start + 1)
    assert original[first:last] == "e\u0301"


@given(st.text(max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_spans_stay_inside(original: str, start: int, length: int) -> None:
    """Whatever is asked, the answer is a span of the original."""
    first, last = original_span(original, start, start + length)
    assert first >= 0
    if not original.isascii():
        assert last <= len(original)


@given(st.text(max_size=200))
def test_html_never_raises(html: str) -> None:
    """Any text is some HTML."""
    assert isinstance(read_html(html).visible, str)


def test_bottomless_html_is_not_parsed() -> None:
    """Depth that would cost the square of itself is noticed; a long flat page is none."""
    assert too_deep("<div>" * 4000)
    assert too_deep("<x-a><b>" * 4000)
    assert too_deep("".join(f"<b id={i}>" for i in range(200)) + "<p>x" * 4000)
    assert not too_deep("<div><br><p>a<li>b</div>" * 4000)
    assert without_tags("<div>4111<b>1111</b> &amp;<p>x") == "\n41111111 &\nx"


def test_masks_show_little() -> None:
    """The first and last characters at most."""
    assert mask("trade secret") == "t••••••••••t"
    assert mask("機密") == "••"
    assert mask("a") == "•"
    assert "2345" not in mask("1234567890", keep=2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x" * 60 + " 41111111\r\n11111111 y", "x" * 60 + " 4111111111111111 y"),
        ("x" * 60 + " 4111-\n1111", "x" * 60 + " 4111-1111"),
        ("x" * 60 + " 4111 1111\n1111 1111", None),
        ("x" * 60 + " 4111111111111111\n5500000000000004", None),
        ("x" * 60 + ",0912345678\n2,Lin", None),
        ("41111111\n11111111", None),
    ],
)
def test_a_number_is_joined_only_where_a_full_line_breaks_it(text: str, expected: str | None) -> None:
    """Columns and rows of numbers, and numbers in groups, stay as they are."""
    assert normalise(text) == (expected or text)
