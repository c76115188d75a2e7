"""What the documents say is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from services import config_docs, events_docs, runner

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
