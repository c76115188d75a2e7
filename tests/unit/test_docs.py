"""What the documents say is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from services import config_docs, events_docs, runner
from services.common.bus.streams import ACCESS, CONSUMERS, STREAMS, matches
from tests.unit.test_permissions import methods

ROOT = Path(__file__).resolve().parents[2]
EVENT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
SECRET_FIELDS = {
    "address",
    "subject",
    "sender",
    "recipient",
    "recipients",
    "body",
    "content",
    "password",
    "token",
    "key",
}


def test_config_page_is_generated_from_the_settings() -> None:
    """`make docs` was run after the last change of a setting."""
    assert (ROOT / "docs" / "config.md").read_text() == config_docs.render(runner.registry())


def test_events_page_is_generated_from_the_code() -> None:
    """`make docs` was run after the last change of an event."""
    assert (ROOT / "docs" / "events.md").read_text() == events_docs.render()


def test_event_names_are_constant_and_dotted() -> None:
    """No f-strings, no sentences."""
    wrong = [(name, where) for name, _, _, where in events_docs.events() if not EVENT.fullmatch(name)]
    assert wrong == []


def test_no_event_has_a_field_for_what_must_not_be_logged() -> None:
    """Addresses, subjects, content and secrets have no field."""
    wrong = [
        (name, where)
        for name, _, fields, where in events_docs.events()
        if SECRET_FIELDS & set(re.findall(r"`(\w+)`", fields))
    ]
    assert wrong == []


def test_every_service_has_a_readme_of_one_screen() -> None:
    """At most 60 lines each."""
    for name in runner.SERVICES:
        lines = (ROOT / "services" / name / "README.md").read_text().splitlines()
        assert 5 <= len(lines) <= 60, name


def test_links_in_the_readme_lead_somewhere() -> None:
    """Every relative link exists."""
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "services").glob("*/README.md")):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def _rows(heading: str) -> list[list[str]]:
    """The cells of every table row of a chapter of the wire's page."""
    page = (ROOT / "proto" / "README.md").read_text()
    chapter = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [[c.strip() for c in line.strip("|").split("|")] for line in chapter.splitlines() if line.startswith("| ")]


def _of(pattern: str, column: int) -> set[str]:
    """The services that a column names in the row of a subject."""
    (row,) = [r for r in _rows("Subjects") if matches(pattern, _example(r[0]))]
    return set(re.findall(r"[a-z]+", re.sub(r"\(.*?\)", "", row[column]))) & set(ACCESS)


def _example(cell: str) -> str:
    return re.sub(r"<\w+>", "x", cell.strip("`"))


def test_page_of_the_wire_names_every_subject_and_who_touches_it() -> None:
    """Subjects, publishers, consumers and questions are those of the table that the broker is made from."""
    for stream in STREAMS.values():
        for pattern in stream.subjects:
            consumers = {c.service for c in CONSUMERS.values() if c.subject == pattern}
            listeners = {s for s, a in ACCESS.items() for heard in a.listens if matches(heard, pattern)}
            assert _of(pattern, 2) == consumers | listeners, pattern
            publishers = {service for service, access in ACCESS.items() if pattern in access.publishes}
            # Schedules are published by the broker, dead letters by whoever failed.
            assert not publishers or _of(pattern, 1) == publishers, pattern
    for pattern in {asked for access in ACCESS.values() for asked in access.asks}:
        assert _of(pattern, 1) == {s for s, a in ACCESS.items() if pattern in a.asks}
        assert _of(pattern, 2) == {s for s, a in ACCESS.items() if pattern in a.serves}


def test_page_of_the_wire_names_every_rpc() -> None:
    """Each service with its RPCs; the directory's five verbs stand for every noun."""
    rows, text = _rows("RPCs"), ""
    for row in rows:
        text += f" {row[0]} {row[2]}"
    for full in methods().values():
        service, method = full.strip("/").split("/")
        assert f"`{service}`" in text, service
        verb = re.match(r"[A-Z][a-z]+", method)
        assert f"`{method}`" in text or (verb and f"`{verb[0]}…`" in text), method
