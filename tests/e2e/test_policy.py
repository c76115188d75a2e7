"""A policy as its author uses it: lint, apply, what shadow rules would do, and a decision judged again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.common.testing import eventually
from tests.e2e.conftest import Place
from tests.harness import mails, world
from tests.harness.smtp import send_async

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENT = """\
version: 1
rules:
  - id: nonce
    direction: outbound
    when: {subject: {contains: Zyzzyva}}
    then: [{hold: {reviewers: legal, levels: 2}}]
  - id: covered
    direction: outbound
    when: {subject: {contains: zyzzyva}}
    then: [{pass: {}}]
  - id: tried
    mode: shadow
    direction: outbound
    when: {cel: "mail.sender.local == 'alice' && recipient.domain == 'partner.example'"}
    then: [{delete: {}}]
"""


async def test_policy_is_linted_applied_counted_and_replayed(place: Place, tmp_path: Path) -> None:
    """The certificate of a mail that came by SMTP is the same when it is judged again, and not when it is changed."""
    ask = place.installation.ask
    file, why = tmp_path / "acme.yaml", tmp_path / "why.json"
    file.write_text(DOCUMENT)
    doubts = ask("policy", "lint", "-f", str(file), "-o", "json", token=world.ACME_ADMIN)
    assert [(i["line"], "contradicts 'nonce'" in i["reason"]) for i in doubts.json["items"]] == [(7, True)], doubts.err
    before = ask("policy", "get", token=world.ACME_ADMIN)
    applied = ask("policy", "apply", "-f", str(file), token=world.ACME_ADMIN)
    assert (applied.status, "warning: line 7" in applied.out) == (0, True), applied.err
    try:
        content = mails.plain("alice@acme.example", "a@partner.example", "Zyzzyva", "held\n")
        sent = await send_async(
            *place.installation.host_port("relay"), "alice@acme.example", ["a@partner.example"], content,
            source=world.ACME_PEER,
        )  # fmt: skip

        def certificate() -> dict[str, Any] | None:
            answer = ask("mail", "why", sent.mail_id, "-o", "json", token=world.ACME_ADMIN)
            why.write_text(answer.out)
            return answer.json if answer.status == 0 else None

        found: Any = await eventually(certificate, timeout=30)
        (leg,) = found["decision"]["legs"]
        assert (leg["disposition"], leg["rule"], leg["levels"]) == ("hold", "nonce", 2)
        again = ask("policy", "replay-why", str(why), "-o", "json", token=world.ACME_ADMIN)
        assert (again.status, again.json["same"], again.json["not_replayed"]) == (0, True, ["tried"]), again.err
        leg["disposition"] = "deliver"
        why.write_text(json.dumps(found))
        changed = ask("policy", "replay-why", str(why), "-o", "json", token=world.ACME_ADMIN)
        assert (changed.status, changed.json["same"]) == (1, False)
        report = ask("policy", "shadow-report", "--days", "1", "-o", "json", token=world.ACME_ADMIN)
        (row,) = [i for i in report.json["items"] if i["rule"] == "tried"]
        assert (row["mode"], row["direction"], row["outcome"], row["mails"]) == ("shadow", "outbound", "delete", 1)
        assert ask("policy", "replay-why", str(why), token=world.GLOBEX_ADMIN).status == 3
    finally:
        file.write_text(before.out)
        assert ask("policy", "apply", "-f", str(file), token=world.ACME_ADMIN).status == 0
