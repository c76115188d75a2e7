"""A banner in the mail's text: in every form of it that a reader may be shown, or left out with the reason."""

from __future__ import annotations

from services.common.mailedit import bodies, transfer
from services.common.mailedit.bodies import Where
from services.common.mailedit.draft import Span
from services.common.mailedit.parts import Part
from services.common.mailedit.transfer import Unsafe

type Left = tuple[str, str]
"""A part and the reason why it was left alone."""


def add(content: bytes, root: Part, text: str, where: Where) -> tuple[list[Span], list[str], list[Left]]:
    """The edits, the parts that they change, and what is left alone."""
    texts: list[Part] = []
    left: list[Left] = []
    _find(root, texts, left)
    if not texts and left and (head := _mixed(content, root)) is not None:
        try:
            return [_first(content, head, text)], [head.children[0].path], []
        except Unsafe as error:
            return [], [], [(head.path, error.reason)]
    protected = _protected(content, texts)
    if protected:
        return [], [], [protected]
    spans: list[Span] = []
    changed: list[str] = []
    for part in texts:
        try:
            spans += bodies.put(content, part, text, where)
            changed.append(part.path)
        except Unsafe as error:
            left.append((part.path, error.reason))
    return spans, changed, left


def _find(part: Part, texts: list[Part], left: list[Left]) -> None:
    """The mail's text in all its forms; attachments and nested mails are not looked into."""
    if part.protection or part.problem:
        left.append((part.path, part.protection or part.problem))
    elif part.type == "multipart/alternative":
        alternatives: list[Left] = []
        for child in part.children:
            _find(child, texts, alternatives)
        # A calendar entry beside the texts is no text, and that is nothing to tell.
        left += [one for one in alternatives if one[1] != "no_text_body" or not texts]
    elif part.type.startswith("multipart/"):
        _find(part.children[0], texts, left)
    elif part.is_text:
        texts.append(part)
    else:
        left.append((part.path, "no_text_body"))


def _protected(content: bytes, texts: list[Part]) -> Left | None:
    """PGP inside one of the texts: then none is touched, since they say the same."""
    for part in texts:
        try:
            found = bodies.pgp(transfer.decode(content[part.body : part.end], part.encoding))
        except Unsafe:
            continue
        if found:
            return part.path, found
    return None


def _mixed(content: bytes, root: Part) -> Part | None:
    """The mail itself when it is a list of attachments without a text: the banner becomes its first part."""
    first = root.children[0] if root.children else None
    if root.type != "multipart/mixed" or root.problem or first is None or first.delimiter < 0:
        return None
    plain = not first.protection and not first.problem and not first.type.startswith("multipart/")
    return root if plain and not first.is_text else None


def _first(content: bytes, root: Part, text: str) -> Span:
    at = root.children[0].delimiter
    line = content[at : content.index(b"\r\n", at) + 2]
    body = note(text)
    if any(b"--" + boundary in body for boundary in root.children[0].boundaries):
        raise Unsafe("boundary")
    return Span(at, at, line + body + b"\r\n")


def note(text: str) -> bytes:
    """A whole text part, with its fields."""
    said = "\r\n".join(bodies.lines(text)) + "\r\n"
    if said.isascii():
        return b"Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n" + said.encode()
    encoded = transfer.based(said.encode("utf-8"))
    return b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded
