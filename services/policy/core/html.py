"""HTML as its readers see it, and apart from it what they do not see.

Lexbor joins text nodes as they stand, so that `<b>4111</b>1111` stays one number; blocks are lines. What is
hidden (by `hidden`, `display:none`, no size, white on nothing) is cut out of the visible text and told apart;
where it is glued to visible characters the text with it is another reading, for programs drop styles.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

_BLOCK = re.compile(
    r"<(?=/?(?:p|div|br|tr|td|th|li|ul|ol|dl|dt|dd|h[1-6]|table|hr|pre|blockquote|section|article|header|footer|option"
    r"|title|form|address|center|body|textarea)\b)",
    re.IGNORECASE,
)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)")
_ANY_TAG = re.compile(r"<[^<>]*>")
_MAX_NEST = 3000
_MAX_COPIES = 500_000
_USUAL_FORMATS = 20
_SHALLOW = re.compile(
    r"area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr|p|li|dd|dt|t[dhr]|tbody|thead|tfoot|option"
)
_FORMAT = re.compile(r"a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u")
_SHOWN = ("alt", "title", "placeholder", "value", "label", "summary", "aria-label")
_LINKED = ("href", "src", "action", "content")
_BEARING = ", ".join(f"[{name}]" for name in (*_SHOWN, *_LINKED))
_COMMENT = re.compile(r"<!--(.*?)(?:-->|$)", re.DOTALL)
_MAY_HIDE = (
    " hidden", "display", "visibility", "mso-hide", "opacity", "font-size", "max-height", "max-width", "#fff",
    "white", "255"
)  # fmt: skip
_HIDES = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|mso-hide\s*:\s*all|opacity\s*:\s*0(?:\.0*)?\s*(?:;|!|$)"
    r"|(?:^|[;\s])font-size\s*:\s*0*[01](?:\.\d+)?(?:px|pt|em|rem|%)?\s*(?:;|!|$)"
    r"|max-(?:height|width)\s*:\s*0(?:px|pt)?\s*(?:;|!|$)",
    re.IGNORECASE,
)
_WHITE = re.compile(
    r"(?<![a-z-])color\s*[:=]\s*[\"']?\s*(?:#fff(?:fff)?\b|white\b|rgba?\(\s*255\s*,\s*255\s*,\s*255)", re.IGNORECASE
)
_GLUED = re.compile(r"\w\ue000\s*\w|\w\s*\ue001\w")
_ONLY_HIDDEN = re.compile("\ue000([^\ue000\ue001]*)\ue001?")
_MAX_CANDIDATES = 2000
_MAX_ANCESTORS = 40
_MAX_BIDI = 200
_MAX_CELLS = 24
_CELLS = re.compile(r"(?:^[0-9A-Za-z]{1,4}\n{1,3}){6,24}", re.MULTILINE)
_MAX_VALUE = 100_000


@dataclass(frozen=True, slots=True)
class Page:
    """What a page shows, and what it carries besides: hidden text, comments, scripts, addresses of links."""

    visible: str
    hidden: tuple[str, ...] = ()


def read_html(html: str) -> Page:
    """The readings of a page, none of them normalised."""
    html = html.replace("\ue000", "").replace("\ue001", "")
    tree = LexborHTMLParser(_BLOCK.sub("\n<", html))
    hidden: list[str] = []
    for node in tree.css("script, style, template"):
        # What is in a template is no child of it.
        inner = without_tags(node.html or "") if node.tag == "template" else ""
        text = inner or node.text(deep=True, separator="", strip=False)
        if text.strip() and (node.tag != "style" or "content" in text):
            hidden.append(text)
        node.decompose()
    lowered = html.lower()
    marked = any(word in lowered for word in _MAY_HIDE) and _mark(tree)
    root = tree.root
    text = root.text(deep=True, separator="", strip=False) if root is not None else ""
    if marked:
        visible = text
        # From the inside out: hidden elements may be nested.
        for _ in range(8):
            cut: list[str] = _ONLY_HIDDEN.findall(visible)
            if not cut:
                break
            hidden.extend(t for t in cut if t.strip())
            visible = _ONLY_HIDDEN.sub("", visible)
        visible = visible.replace("\ue000", "").replace("\ue001", "")
        if _GLUED.search(text):
            hidden.append(text.replace("\ue000", "").replace("\ue001", ""))
        text = visible
    if "<bdo" in lowered or "unicode-bidi" in lowered:
        turned = [
            n for n in tree.css("bdo, [style]") if n.tag == "bdo" or "unicode-bidi" in (n.attributes["style"] or "")
        ]
        texts = (n.text(deep=True, separator="", strip=False) for n in turned[:_MAX_BIDI])
        hidden.extend(t.replace("\ue000", "").replace("\ue001", "")[::-1] for t in texts)
    # A number with each digit in a cell of its own reads like any other.
    hidden.extend(c for c in ("".join(m[0].split()) for m in _CELLS.finditer(text)) if len(c) <= _MAX_CELLS)
    if "<!--" in html:
        # Conditional comments are what one program shows; the others keep notes there.
        hidden.extend(c for c in (without_tags(c).strip() for c in _COMMENT.findall(html)) if c)
    shown, linked = _attributes(tree)
    if linked:
        hidden.append("\n".join(linked))
    return Page("\n".join([text, *shown]) if shown else text, tuple(hidden))


def _attributes(tree: LexborHTMLParser) -> tuple[dict[str, None], dict[str, None]]:
    """Values that are shown to somebody (beside a picture, in a field), and those that links carry."""
    shown: dict[str, None] = {}
    linked: dict[str, None] = {}
    for node in tree.css(_BEARING):
        for name, value in node.attributes.items():
            if value and name in _SHOWN:
                shown[value[:_MAX_VALUE]] = None
            elif value and name in _LINKED:
                linked[value[:_MAX_VALUE]] = None
    return shown, linked


def _mark(tree: LexborHTMLParser) -> bool:
    """Put private marks around hidden elements; whether there are any."""
    found = False
    try:
        candidates = tree.css("[hidden], [style], [color]")
    except SelectolaxError:
        return False
    for node in candidates[:_MAX_CANDIDATES]:
        if node.tag in ("html", "body", "-document"):
            continue
        if _is_hidden(node):
            node.insert_before("\ue000")
            node.insert_after("\ue001")
            found = True
    return found


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    style = attributes.get("style") or ""
    if "hidden" in attributes or (style and _HIDES.search(style)):
        return True
    color = attributes.get("color")
    if not (_WHITE.search(style) or (color and _WHITE.search(f"color={color}"))):
        return False
    above: LexborNode | None = node
    for _ in range(_MAX_ANCESTORS):
        if above is None:
            return True
        own = above.attributes
        if "bgcolor" in own or "background" in own or "background" in (own.get("style") or ""):
            return False
        above = above.parent
    return False


def too_deep(html: str) -> bool:
    """Whether parsing would cost the square of what it should, as no page that people write does.

    Nested elements are searched upwards for each new one, and formatting that is never closed is copied into each
    new paragraph (HTML, "reconstruct the active formatting elements").
    """
    tags = html.count("<")
    if tags <= _MAX_NEST:
        return False
    depth = formats = 0
    for closing, name in _TAG.findall(html):
        name = name.lower()
        if _SHALLOW.fullmatch(name):
            continue
        step = -1 if closing else 1
        depth = max(depth + step, 0)
        if _FORMAT.fullmatch(name):
            formats = max(formats + step, 0)
        if depth > _MAX_NEST or (formats > _USUAL_FORMATS and formats * tags > _MAX_COPIES):
            return True
    return False


def without_tags(html: str) -> str:
    """The text of HTML that is not parsed: whatever stands outside of angle brackets, scripts included."""
    return unescape(_ANY_TAG.sub("", _BLOCK.sub("\n<", html)))
