"""The command line against an API: requests, answers, exit statuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from letterlock.archive.v1 import archive_pb2
from letterlock.directory.v1 import directory_pb2
from letterlock.mail.v1 import mail_pb2
from letterlock.policy.v1 import detector_pb2, policy_pb2
from letterlock.quarantine.v1 import quarantine_pb2
from letterlock.system.v1 import system_pb2

from services.cli.running import run
from tests.unit.cli.server import FakeApi, abort

MAIL = "01JD0000000000000000000000"


class Answer:
    """What a command did."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> Any:
        """The document."""
        return json.loads(self.out)


def ask(api: FakeApi, capsys: pytest.CaptureFixture[str], *words: str, tenant: str = "") -> Answer:
    """Run a command against the API."""
    with api.session(tenant=tenant) as session:
        status = run(words, {}, session)
    return Answer(status, *capsys.readouterr())


def test_list_is_all_pages_under_items(capsys: pytest.CaptureFixture[str]) -> None:
    """Paged by the command itself, and nothing but items."""
    pages = {
        "": directory_pb2.ListPeopleResponse(people=[directory_pb2.Person(address="a@x")], next_page_token="2"),
        "2": directory_pb2.ListPeopleResponse(people=[directory_pb2.Person(address="b@x", roles=["user"])]),
    }
    api = FakeApi({"directory.DirectoryService.ListPeople": lambda request, _: pages[request.page_token]})
    answer = ask(api, capsys, "person", "list", "-o", "json", tenant="acme")
    assert (answer.status, answer.err) == (0, "")
    assert list(answer.json) == ["items"]
    assert [(p["address"], p["roles"]) for p in answer.json["items"]] == [("a@x", []), ("b@x", ["user"])]
    assert [request.tenant for _, request in api.asked] == ["acme", "acme"]
    assert api.metadata[0]["authorization"] == "Bearer key"
    assert api.metadata[0]["letterlock-tenant"] == "acme"
    table = ask(api, capsys, "person", "list").out.splitlines()
    assert table[0].split() == [
        "ADDRESS",
        "ROLES",
        "PENDING",
        "ROLES",
        "ALIASES",
        "HAS",
        "PASSWORD",
        "DISABLED",
        "REVISION",
    ]
    assert table[2].split()[:2] == ["b@x", "user"]


def test_create_sends_what_was_given_and_a_request_id(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Nested fields, switches, and a password that is read from a file, never from the command line."""
    (tmp_path / "password").write_text("correct horse\n")
    api = FakeApi({"directory.DirectoryService.CreatePerson": directory_pb2.CreatePersonResponse(
        person=directory_pb2.Person(address="a@x", revision=1))})  # fmt: skip
    words = (
        "person",
        "create",
        "a@x",
        "--role=user,reviewer",
        "--disabled",
        "--password-file",
        str(tmp_path / "password"),
    )
    answer = ask(api, capsys, *words, "-o", "json")
    request = api.asked[0][1]
    assert (request.person.address, list(request.person.roles)) == ("a@x", ["user", "reviewer"])
    assert (request.person.disabled, request.person.password) == (True, "correct horse")
    assert len(request.request_id) == 26
    assert (answer.json["address"], answer.json["revision"]) == ("a@x", 1)


def test_update_masks_exactly_what_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    """A part of a route masks the route; nothing given is wrong usage."""
    api = FakeApi({"directory.DirectoryService.UpdateTenant": directory_pb2.UpdateTenantResponse()})
    words = ("tenant", "update", "acme", "--smarthost", "mx:25", "--no-suspended", "--limit", "recipients=5")
    assert ask(api, capsys, *words).status == 0
    request = api.asked[0][1]
    assert list(request.update_mask.paths) == ["limits", "smarthost", "suspended"]
    assert (request.name, request.tenant.smarthost.address, dict(request.tenant.limits)) == (
        "acme",
        "mx:25",
        {"recipients": 5},
    )
    answer = ask(api, capsys, "tenant", "update", "acme")
    assert (answer.status, len(api.asked)) == (2, 1)


def test_route_changes_as_a_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """TLS without the address is wrong usage; an empty address takes the route away."""
    api = FakeApi({"directory.DirectoryService.UpdateTenant": directory_pb2.UpdateTenantResponse()})
    answer = ask(api, capsys, "tenant", "update", "acme", "--smarthost-tls", "required")
    assert (answer.status, answer.err) == (2, "error: --smarthost-tls needs --smarthost\n")
    assert ask(api, capsys, "tenant", "update", "acme", "--smarthost", "").status == 0
    request = api.asked[0][1]
    assert (list(request.update_mask.paths), request.tenant.HasField("smarthost")) == (["smarthost"], False)


def test_new_api_key_comes_with_its_token(capsys: pytest.CaptureFixture[str]) -> None:
    """Once, here."""
    response = directory_pb2.CreateApiKeyResponse(api_key=directory_pb2.ApiKey(id="ab"), secret="tok")
    api = FakeApi({"directory.DirectoryService.CreateApiKey": response})
    answer = ask(api, capsys, "apikey", "create", "--owner", "a@x", "-o", "json")
    assert (answer.json["id"], answer.json["secret"], api.asked[0][1].api_key.owner) == ("ab", "tok", "a@x")


def test_mail_status_has_the_contracts_shape(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers are numbers, times are RFC 3339, nothing is missing."""
    response = archive_pb2.MailStatusResponse(
        mail_id=MAIL, tenant="acme", direction="inbound", size=1 << 40, final=True,
        recipients=[archive_pb2.RecipientStatus(address="a@x", state="delivered", detail="250 ok")],
        events=[archive_pb2.MailEvent(event="accepted", service="ingress")],
    )  # fmt: skip
    response.received_at.FromJsonString("2026-11-24T07:00:00.5Z")
    api = FakeApi({"archive.ArchiveService.MailStatus": response})
    document = ask(api, capsys, "mail", "status", MAIL, "-o", "json").json
    assert {"mail_id", "tenant", "direction", "recipients", "events"} <= set(document)
    assert document["recipients"][0].items() >= {"address": "a@x", "state": "delivered", "detail": "250 ok"}.items()
    assert (document["size"], document["received_at"], document["events"][0]["at"]) == (
        1 << 40,
        "2026-11-24T07:00:00.500Z",
        None,
    )
    table = ask(api, capsys, "mail", "status", MAIL).out
    assert "a@x" in table
    assert "delivered" in table
    assert yaml.safe_load(ask(api, capsys, "mail", "status", MAIL, "-o", "yaml").out)["tenant"] == "acme"


def test_why_shows_the_decision(capsys: pytest.CaptureFixture[str]) -> None:
    """Enums by short names, settings as the JSON they are; a table names each recipient's fate and rule."""
    predicate = mail_pb2.PredicateWhy(path="when.text", truth=True, spans=["4111********1111"])
    decision = mail_pb2.Decision(
        mail_id=MAIL, revision=3, recipients=[mail_pb2.Recipient(address="a@x", direction="DIRECTION_INBOUND")],
        legs=[mail_pb2.Leg(number=1, recipients=[0], disposition="DISPOSITION_HOLD", rule="cards-out",
                           transforms=[mail_pb2.Transform(kind="tag", settings=b'{"a":1}')])],
        why=[mail_pb2.RuleWhy(rule="cards-out", mode="enforce", matched=True, predicates=[predicate])],
    )  # fmt: skip
    api = FakeApi({"archive.ArchiveService.MailWhy": archive_pb2.MailWhyResponse(mail_id=MAIL, decision=decision)})
    found = ask(api, capsys, "mail", "why", MAIL, "-o", "json").json["decision"]
    assert (found["legs"][0]["disposition"], found["recipients"][0]["direction"]) == ("hold", "inbound")
    assert found["legs"][0]["transforms"][0]["settings"] == {"a": 1}
    table = ask(api, capsys, "mail", "why", MAIL).out
    for word in ("a@x", "hold", "cards-out", "when.text", "4111********1111", "revision 3"):
        assert word in table


def test_hold_has_hold_id(capsys: pytest.CaptureFixture[str]) -> None:
    """Ids say what of: `hold_id` beside `mail_id`."""
    hold = quarantine_pb2.Hold(id=f"{MAIL}.1", mail_id=MAIL, state="HOLD_STATE_HELD")
    api = FakeApi({
        "quarantine.HoldService.ListHolds": quarantine_pb2.ListHoldsResponse(holds=[hold]),
        "quarantine.HoldService.ReleaseHold": quarantine_pb2.ReleaseHoldResponse(hold=hold),
    })  # fmt: skip
    item = ask(api, capsys, "hold", "list", "-o", "json").json["items"][0]
    assert (item["hold_id"], item["mail_id"], item["state"]) == (f"{MAIL}.1", MAIL, "held")
    assert ask(api, capsys, "hold", "release", item["hold_id"], "--note", "fine").status == 0
    assert (api.asked[-1][1].id, api.asked[-1][1].note) == (f"{MAIL}.1", "fine")


def test_policy_get_prints_the_document_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """So that it can be edited and applied."""
    api = FakeApi({"policy.PolicyService.Get": policy_pb2.GetResponse(document="version: 1\n")})
    assert ask(api, capsys, "policy", "get").out == "version: 1\n"


def test_policy_check_lists_mistakes_and_fails(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Mistakes on stdout, one line of error, exit 1; without any, exit 0."""
    (tmp_path / "p.yaml").write_text("version: 1\nrules: []\n")
    mistake = policy_pb2.Mistake(line=7, path="rules[0].when", reason="unknown predicate")
    api = FakeApi({"policy.PolicyService.Check": policy_pb2.CheckResponse(mistakes=[mistake])})
    answer = ask(api, capsys, "policy", "check", "-f", str(tmp_path / "p.yaml"))
    assert (answer.status, answer.out) == (1, "line 7: rules[0].when: unknown predicate\n")
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert (
        ask(api, capsys, "policy", "check", "-f", str(tmp_path / "p.yaml"), "-o", "json").json["items"][0]["line"] == 7
    )
    api.answers["policy.PolicyService.Check"] = policy_pb2.CheckResponse(rules=2)
    answer = ask(api, capsys, "policy", "check", "-f", str(tmp_path / "p.yaml"))
    assert (answer.status, answer.out, answer.err) == (0, "2 rules, no mistakes\n", "")


def test_policy_trace_sends_mail_and_draft(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Bytes as they are, the direction and time as the proto's types."""
    (tmp_path / "m.eml").write_bytes(b"From: a@x\r\n\r\n\xff")
    (tmp_path / "d.yaml").write_text("version: 1\n")
    api = FakeApi({"policy.PolicyService.Trace": policy_pb2.TraceResponse(decision=mail_pb2.Decision(revision=1))})
    words = ("--eml", str(tmp_path / "m.eml"), "-f", str(tmp_path / "d.yaml"), "--to", "b@y,c@z", "--tls")
    more = ("--direction", "outbound", "--at", "2026-11-24T09:00:00Z", "--from", "a@x")
    assert ask(api, capsys, "policy", "trace", *words, *more).status == 0
    request = api.asked[0][1]
    assert (request.mail, request.document, list(request.recipients)) == (
        b"From: a@x\r\n\r\n\xff",
        "version: 1\n",
        ["b@y", "c@z"],
    )
    assert (request.tls, request.direction, request.sender) == (True, mail_pb2.DIRECTION_OUTBOUND, "a@x")
    assert request.at.ToJsonString() == "2026-11-24T09:00:00Z"
    assert ask(api, capsys, "policy", "trace", *words, "--at", "noon").status == 2


def test_a_printed_certificate_is_read_back_whole(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`mail why -o json` to a file, the file to `policy replay-why`: the same decision, and what differs is exit 1."""
    decision = mail_pb2.Decision(tenant="t", mail_id=MAIL, revision=3, origin="policy")
    decision.decided_at.FromJsonString("2026-11-24T09:00:00.5Z")
    decision.recipients.add(address="b@y", direction=mail_pb2.DIRECTION_OUTBOUND)
    leg = decision.legs.add(number=1, recipients=[0], disposition=mail_pb2.DISPOSITION_HOLD, reviewers=["sender"])
    leg.transforms.add(kind="banner", rule="r", settings='{"text":"é"}'.encode())
    decision.why.add(rule="r", matched=True, recipients=[0]).predicates.add(path="when.tls", truth=True)
    decision.coverage.not_inspected.add(part="2", reason="broken")
    api = FakeApi(
        {
            "archive.ArchiveService.MailWhy": archive_pb2.MailWhyResponse(mail_id=MAIL, decision=decision),
            "policy.PolicyService.ReplayWhy": lambda request, _: policy_pb2.ReplayWhyResponse(
                same=request.decision.revision == 3,
                differences=[] if request.decision.revision == 3 else ["other legs"],
            ),
        }
    )
    printed = ask(api, capsys, "mail", "why", MAIL, "-o", "json")
    file = tmp_path / "why.json"
    file.write_text(printed.out)
    assert ask(api, capsys, "policy", "replay-why", str(file)).out == "the same decision\n"
    assert api.asked[-1][1].decision == decision
    file.write_text(json.dumps({**printed.json["decision"], "revision": 4}))
    other = ask(api, capsys, "policy", "replay-why", str(file))
    assert (other.status, other.out) == (1, "other legs\n")
    for bad in ("{", "[]", '{"x": 1}', '{"legs": [{"disposition": "fly"}]}', '{"revision": "three"}', '{"legs": {}}'):
        file.write_text(bad)
        assert ask(api, capsys, "policy", "replay-why", str(file)).status == 2


def test_shadow_report_says_of_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    """Counts are `items`; the table sets them against the mails asked about."""
    count = policy_pb2.ShadowCount(day="2026-11-24", rule="r", mode="shadow", group="legal", outcome="hold", mails=2)
    asked = policy_pb2.ShadowCount(day="2026-11-24", rule="r", mode="shadow", mails=40)
    response = policy_pb2.ShadowReportResponse(counts=[count], asked=[asked])
    api = FakeApi({"policy.PolicyService.ShadowReport": response})
    answer = ask(api, capsys, "policy", "shadow-report", "--days", "3", "-o", "json")
    assert (api.asked[0][1].days, answer.json["items"][0]["mails"], answer.json["asked"][0]["mails"]) == (3, 2, 40)
    assert ask(api, capsys, "policy", "shadow-report").out.split("\n")[1].split()[-2:] == ["2", "40"]


def test_lint_tells_doubts_and_fails_on_mistakes_only(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0 with findings, 1 with mistakes; apply prints them as warnings."""
    finding = policy_pb2.Mistake(line=4, path="rules[1]", reason="the rule 'b' is covered")
    api = FakeApi({"policy.PolicyService.Lint": policy_pb2.LintResponse(findings=[finding])})
    answer = ask(api, capsys, "policy", "lint")
    assert (answer.status, answer.out) == (0, "line 4: rules[1]: the rule 'b' is covered\n")
    api = FakeApi({"policy.PolicyService.Lint": policy_pb2.LintResponse(mistakes=[finding])})
    assert ask(api, capsys, "policy", "lint").status == 1


def test_apply_sends_the_world_with_its_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The difference is `items`; a dry run says so."""
    (tmp_path / "key").write_text("op-0123456789abcdef\n")
    world = tmp_path / "world.yaml"
    world.write_text("operators: [{name: ops, api_key_file: key}]\ntenants: []\n")
    response = directory_pb2.ApplyWorldResponse(changes=["+ tenant acme"], warnings=["weak key"])
    api = FakeApi({"directory.DirectoryService.ApplyWorld": response})
    answer = ask(api, capsys, "apply", "-f", str(world), "--dry-run", "-o", "json")
    assert answer.json == {"items": ["+ tenant acme"], "warnings": ["weak key"], "dry_run": True}
    request = api.asked[0][1]
    assert request.dry_run
    assert yaml.safe_load(request.document)["operators"] == [{"name": "ops", "api_key": "op-0123456789abcdef"}]
    assert ask(api, capsys, "apply", "-f", str(tmp_path / "none.yaml")).status == 1


def test_reindex_ends_with_the_last_word(capsys: pytest.CaptureFixture[str]) -> None:
    """One document; a stream that breaks off is no success."""
    steps = [archive_pb2.ReindexResponse(segments=2, segments_done=n, mails=5 * n, done=n == 2) for n in range(3)]
    api = FakeApi({"archive.ArchiveService.Reindex": lambda *_: iter(steps)})
    assert ask(api, capsys, "archive", "reindex", "-o", "json").json == {
        "segments": 2,
        "segments_done": 2,
        "mails": 10,
        "done": True,
    }
    api.answers["archive.ArchiveService.Reindex"] = lambda *_: iter(steps[:2])
    assert ask(api, capsys, "archive", "reindex").status == 5


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (grpc.StatusCode.NOT_FOUND, 3),
        (grpc.StatusCode.PERMISSION_DENIED, 4),
        (grpc.StatusCode.UNAUTHENTICATED, 4),
        (grpc.StatusCode.UNAVAILABLE, 5),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 5),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 5),
        (grpc.StatusCode.INVALID_ARGUMENT, 1),
        (grpc.StatusCode.FAILED_PRECONDITION, 1),
        (grpc.StatusCode.ABORTED, 1),
        (grpc.StatusCode.ALREADY_EXISTS, 1),
        (grpc.StatusCode.INTERNAL, 1),
    ],
)
def test_failures_are_exit_statuses_and_one_line(
    capsys: pytest.CaptureFixture[str], code: grpc.StatusCode, status: int
) -> None:
    """Nothing on stdout; control characters of the far end do not reach the terminal."""
    api = FakeApi({"archive.ArchiveService.MailStatus": abort(code, "first\nsecond \x1b[31m")})
    answer = ask(api, capsys, "mail", "status", MAIL)
    assert (answer.status, answer.out, answer.err[:7], answer.err.count("\n")) == (status, "", "error: ", 1)
    assert "\x1b" not in answer.err


def test_fields_at_fault_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """From google.rpc.BadRequest, all on the one line."""
    (tmp_path / "p.yaml").write_text("version: 2\n")
    violations = [
        error_details_pb2.BadRequest.FieldViolation(field="line 1: version", description="expected 1"),
        error_details_pb2.BadRequest.FieldViolation(field="", description="no rules"),
    ]
    detail = AnyMessage()
    detail.Pack(error_details_pb2.BadRequest(field_violations=violations))

    def refuse(request: Any, context: grpc.ServicerContext) -> Any:
        status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="invalid", details=[detail])
        context.abort_with_status(rpc_status.to_status(status))

    api = FakeApi({"policy.PolicyService.Apply": refuse})
    answer = ask(api, capsys, "policy", "apply", "-f", str(tmp_path / "p.yaml"))
    assert (answer.status, answer.err) == (1, "error: line 1: version: expected 1; no rules\n")


def test_nobody_there_is_unavailable(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With what to check; `version` answers for itself."""
    environment = {"LETTERLOCK_SERVER": "127.0.0.1:1", "LETTERLOCK_DATA": str(tmp_path)}
    assert run(["status"], environment) == 5
    assert "LETTERLOCK_SERVER" in capsys.readouterr().err
    assert run(["version", "-o", "json"], environment) == 0
    assert json.loads(capsys.readouterr().out)["server"] is None
    assert run(["health"], environment) == 5


def test_status_and_version_ask_the_system(capsys: pytest.CaptureFixture[str]) -> None:
    """Nodes with their addresses."""
    node = system_pb2.Node(name="n1", service="ingress", revision=4, addresses={"relay": "127.0.0.1:2525"})
    api = FakeApi({
        "system.SystemService.Status": system_pb2.StatusResponse(version="1", revision=4, nodes=[node], settled=True),
        "system.SystemService.Version": system_pb2.VersionResponse(version="1"),
    })  # fmt: skip
    assert ask(api, capsys, "status", "-o", "json").json["nodes"][0]["addresses"] == {"relay": "127.0.0.1:2525"}
    assert "relay=127.0.0.1:2525" in ask(api, capsys, "status").out
    assert ask(api, capsys, "version", "-o", "json").json["server"] == "1"


def test_what_a_sender_wrote_cannot_rewrite_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Escapes and direction overrides are shown as what they are; JSON keeps them, escaped."""
    evil = "a\x1b]0;x\x07\u202e@x"
    response = archive_pb2.MailStatusResponse(mail_id=MAIL, recipients=[archive_pb2.RecipientStatus(address=evil)])
    api = FakeApi({"archive.ArchiveService.MailStatus": response})
    out = ask(api, capsys, "mail", "status", MAIL).out
    assert not {"\x1b", "\x07", "\u202e"} & set(out)
    assert ask(api, capsys, "mail", "status", MAIL, "-o", "json").json["recipients"][0]["address"] == evil


def test_detector_test_shows_masked_finds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A text or a file, not both; the file goes with its name and without its folder."""
    hit = detector_pb2.DetectorHit(detector="payment_card", masked="4•••1111", confidence="high", offset=3, part="1")
    api = FakeApi({"policy.DetectorService.TestDetectors": detector_pb2.TestDetectorsResponse(hits=[hit])})
    (tmp_path / "cards.zip").write_bytes(b"PK")
    answer = ask(api, capsys, "detector", "test", "--file", str(tmp_path / "cards.zip"), "--detector", "payment_card")
    assert answer.out.splitlines()[1].split() == ["payment_card", "4•••1111", "high", "3", "1"]
    request = api.asked[0][1]
    assert (request.file, request.file_name, list(request.detectors)) == (b"PK", "cards.zip", ["payment_card"])
    answer = ask(api, capsys, "detector", "test", "--text", "x", "-o", "json")
    assert answer.json["items"][0]["detector"] == "payment_card"
    assert ask(api, capsys, "detector", "test").status == 2
    assert ask(api, capsys, "detector", "test", "--text", "x", "--file", "-").status == 2
