"""The recipes of docs/policy.md: each decides as it says, for mails that it is for and for mails that it is not for."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from letterlock.mail.v1 import mail_pb2

from services.common.components import ExtractionConfig
from services.common.extraction import sandbox
from services.common.ids import MailId, TenantId
from services.common.testing import eventually
from services.policy.adapters.passwords import NoPasswords
from services.policy.core.detectors.table import DETECTORS
from services.policy.core.document import parse
from services.policy.core.extract import Limits
from services.policy.core.known import Known
from services.policy.core.message import Direction
from services.policy.core.own import Own
from services.policy.core.own.patterns import pattern_detector
from services.policy.core.own.prints import Prints
from services.policy.core.own.rows import digested, load
from services.policy.decide import Bounds, Decider
from services.policy.inspection import Opener
from services.policy.pool import FairPool
from services.policy.ports import InForce
from tests.corpus import documents
from tests.e2e.conftest import Place
from tests.harness import mails, world
from tests.harness.smtp import send_async

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()
RECIPES: Mapping[str, str] = dict(
    re.findall(r"^### (.+?)\n.*?^```yaml\n(.*?)^```", PAGE.partition("## Recipes")[2], re.M | re.S)
)
TENANT, KEY = TenantId.new(), bytes(32)
CARD, IDS = "4111 1111 1111 1111", "A123456789\nB287654326\nF131232216\n"
SECRET = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA" + "x7Jk" * 40 + "\n-----END RSA PRIVATE KEY-----\n"
CONTRACT = (
    "This agreement is made between the parties named below and governs the sale, delivery and maintenance of the "
    "machines that are listed in annex one. The seller delivers the machines within ninety days of the signature and "
    "keeps them in working order for three years, as annex two describes."
)
NOON, NIGHT = datetime(2026, 11, 24, 4, tzinfo=UTC), datetime(2026, 11, 24, 14, tzinfo=UTC)
"""In Taipei noon, and ten in the evening."""
OWN = Own(
    {"project": pattern_detector("project", ["PRJ-[0-9]{4}"], context=["project"])},
    {"customers": load(digested(["id", "name"], [["C-20391", "王小明"], ["C-20392", "陳美麗"]], KEY), KEY)},
    {"contracts": Prints({}, KEY).with_document("master", [CONTRACT])},
)


class Fixed:
    """One policy in force, with what it asks for."""

    def __init__(self, document: str) -> None:
        checked = parse(document, Known(frozenset({"legal"}), detectors=frozenset({*DETECTORS, "project"})))
        assert checked.policy is not None, checked.mistakes
        self._in_force = InForce(checked.policy, 1, OWN)

    def current(self, tenant: TenantId) -> InForce:
        """It."""
        return self._in_force

    def group(self, tenant: TenantId, name: str) -> frozenset[str]:
        """Of acme."""
        return frozenset({"lin@acme.example"}) if name == "legal" else frozenset()

    def direction_of(self, tenant: TenantId, address: str, *, from_stranger: bool) -> Direction:
        """Acme's are ours."""
        return "internal" if address.endswith("@acme.example") else "outbound"


def mail(text: str = "hello", *, file: tuple[str, bytes] | None = None, **headers: str) -> bytes:
    """A mail of a text, perhaps with a file."""
    lines = {"From": "a@acme.example", "To": "b@world.example", "Subject": "hi"} | headers
    head = "".join(f"{n.replace('_', '-')}: {v}\r\n" for n, v in lines.items()).encode()
    body = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text.replace("\n", "\r\n").encode() + b"\r\n"
    if file is None:
        return head + body
    kind = f'Content-Type: application/octet-stream; name="{file[0]}"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    parts = (body, kind.encode() + base64.encodebytes(file[1]).replace(b"\n", b"\r\n"))
    return head + b"Content-Type: multipart/mixed; boundary=b0\r\n\r\n" + b"".join(
        b"--b0\r\n" + p + b"\r\n" for p in parts
    ) + b"--b0--\r\n"  # fmt: skip


def transforms(leg: mail_pb2.Leg) -> list[str]:
    """What is done to a leg."""
    return [t.kind for t in leg.transforms]


class Kitchen:
    """Decides as a process of policy does, with a real sandbox."""

    def __init__(self, extract: Any, pool: FairPool) -> None:
        self._extract, self._pool = extract, pool

    async def decide(
        self, recipe: str, raw: bytes, *, sender: str = "a@acme.example", to: tuple[str, ...] = ("b@world.example",),
        direction: int = mail_pb2.DIRECTION_OUTBOUND, at: datetime = NOON,
    ) -> mail_pb2.Decision:  # fmt: skip
        """What a recipe makes of a mail."""
        opener = Opener(self._extract, NoPasswords(), self._pool, Limits())
        decider = Decider(Fixed(RECIPES[recipe]), self._pool, Bounds(Limits(), 1 << 16), opener=opener)
        envelope = mail_pb2.Envelope(tenant=TENANT, mail_id=MailId.new(), sender=sender, size=len(raw))
        envelope.received_at.FromDatetime(at)
        for address in to:
            envelope.recipients.add(address=address, direction=direction)  # type: ignore[arg-type]
        return await decider(envelope, raw, queued=False, timeout=30)

    async def leg(self, recipe: str, raw: bytes, **more: Any) -> mail_pb2.Leg:
        """The only leg of it."""
        (leg,) = (await self.decide(recipe, raw, **more)).legs
        return leg

    async def passes(self, recipe: str, raw: bytes, **more: Any) -> bool:
        """Whether it is delivered as it is."""
        leg = await self.leg(recipe, raw, **more)
        return leg.disposition == mail_pb2.DISPOSITION_DELIVER and not leg.transforms


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def kitchen() -> AsyncIterator[Kitchen]:
    """One sandbox for all recipes."""
    pool = FairPool(2, waiting=10, waiting_per_tenant=10)
    async with sandbox(ExtractionConfig()) as extract:
        yield Kitchen(extract, pool)
    pool.close()


INBOUND = {"direction": mail_pb2.DIRECTION_INBOUND, "sender": "s@elsewhere.example", "to": ("alice@acme.example",)}


async def test_cards(kitchen: Kitchen) -> None:
    """Held for legal, also in a document in an archive; a wrong checksum is not."""
    recipe = "Cards out wait for legal"
    packed = documents.zipped({"a.docx": documents.docx(f"card {CARD}")})
    for raw in (mail(f"card {CARD}"), mail(file=("a.zip", packed))):
        leg = await kitchen.leg(recipe, raw)
        assert (leg.disposition, list(leg.reviewers), leg.seconds) == (mail_pb2.DISPOSITION_HOLD, ["legal"], 3 * 86400)
    assert await kitchen.passes(recipe, mail("card 4111 1111 1111 1112"))


async def test_ids_in_sheets(kitchen: Kitchen) -> None:
    """Three people in a sheet are sealed; one, or three in a text without a sheet, go."""
    recipe = "National ids in spreadsheets leave sealed"
    sheet = ("list.csv", f"name,id\nx,{IDS.replace(chr(10), chr(10) + 'x,')}\n".encode())
    leg = await kitchen.leg(recipe, mail(file=sheet))
    assert (leg.disposition, transforms(leg)) == (mail_pb2.DISPOSITION_DELIVER, ["seal"])
    assert await kitchen.passes(recipe, mail(file=("list.csv", b"name,id\nx,A123456789\n")))
    assert await kitchen.passes(recipe, mail(IDS))


async def test_macros(kitchen: Kitchen) -> None:
    """Taken out, and said so; a document without goes whole."""
    recipe = "Macros from outside are taken out"
    leg = await kitchen.leg(recipe, mail(file=("a.docm", documents.docx(macros=True))), **INBOUND)
    assert sorted(transforms(leg)) == ["strip", "tag"]
    assert await kitchen.passes(recipe, mail(file=("a.docx", documents.docx())), **INBOUND)


async def test_many_recipients(kitchen: Kitchen) -> None:
    """51 wait for the sender, 50 do not."""
    recipe, many = "Who writes to many confirms it", tuple(f"u{i}@world.example" for i in range(51))
    leg = await kitchen.leg(recipe, mail(), to=many)
    assert (leg.disposition, list(leg.reviewers)) == (mail_pb2.DISPOSITION_HOLD, ["sender"])
    assert await kitchen.passes(recipe, mail(), to=many[:50])


async def test_external(kitchen: Kitchen) -> None:
    """A banner for strangers, none for the partner, none on the way out."""
    recipe = "Mail from outside says so"
    assert transforms(await kitchen.leg(recipe, mail(), **INBOUND)) == ["banner"]
    assert await kitchen.passes(recipe, mail(), **{**INBOUND, "sender": "x@partner.example"})
    assert await kitchen.passes(recipe, mail())


async def test_misdirected(kitchen: Kitchen) -> None:
    """The partner's copy goes, the other one waits."""
    recipe = "Projects go to their partner only"
    decision = await kitchen.decide(recipe, mail("project PRJ-1234"), to=("p@partner.example", "b@world.example"))
    assert sorted((leg.disposition, list(leg.recipients)) for leg in decision.legs) == [
        (mail_pb2.DISPOSITION_DELIVER, [0]), (mail_pb2.DISPOSITION_HOLD, [1]),
    ]  # fmt: skip
    assert await kitchen.passes(recipe, mail("project ABC-1234"))


async def test_night(kitchen: Kitchen) -> None:
    """Files sent in the evening wait a quarter of an hour; at noon, or without a file, nothing does."""
    recipe, raw = "At night mail can still be called back", mail(file=("a.txt", b"text"))
    leg = await kitchen.leg(recipe, raw, at=NIGHT)
    assert (leg.disposition, leg.seconds) == (mail_pb2.DISPOSITION_DELAY, 900)
    assert await kitchen.passes(recipe, raw)
    assert await kitchen.passes(recipe, mail(), at=NIGHT)


async def test_secrets(kitchen: Kitchen) -> None:
    """Refused in the dialogue, with the tenant's words."""
    recipe = "Secrets are refused at once"
    leg = await kitchen.leg(recipe, mail(SECRET))
    assert (leg.disposition, leg.text) == (mail_pb2.DISPOSITION_REFUSE, "the mail holds a key or a password")
    assert await kitchen.passes(recipe, mail("the key is under the mat"))


async def test_locked(kitchen: Kitchen) -> None:
    """An archive that no password opens waits; one whose password the mail names is read and goes."""
    recipe = "What cannot be opened is looked at by a person"
    locked = ("a.zip", documents.aes_zipped({"a.txt": b"hello"}, "qT7-vault"))
    leg = await kitchen.leg(recipe, mail(file=locked))
    assert (leg.disposition, leg.rule, list(leg.reviewers)) == (mail_pb2.DISPOSITION_HOLD, "locked", ["legal"])
    assert await kitchen.passes(recipe, mail("password: qT7-vault", file=locked))
    leg = await kitchen.leg(recipe, mail(file=locked), sender="lin@acme.example")
    assert leg.rule != "locked"


async def test_newsletters(kitchen: Kitchen) -> None:
    """Marked by either header."""
    recipe = "Newsletters are marked"
    for header in ({"List_Unsubscribe": "<mailto:u@news.example>"}, {"Precedence": "bulk"}):
        assert transforms(await kitchen.leg(recipe, mail("news", file=None, **header), **INBOUND)) == ["tag"]
    assert await kitchen.passes(recipe, mail(), **INBOUND)


async def test_customers_and_contracts(kitchen: Kitchen) -> None:
    """Two cells of one row are one customer; most of a document is the document."""
    recipe = "Customers and contracts stay inside"
    for raw in (mail("王小明, customer c20391"), mail(file=("a.docx", documents.docx("C-20392 陳 美 麗")))):
        assert (await kitchen.leg(recipe, raw)).rule == "customers"
    assert await kitchen.passes(recipe, mail("陳美麗, customer C-20391"))
    leg = await kitchen.leg(recipe, mail(file=("b.docx", documents.docx(f"draft: {CONTRACT}"))))
    assert (leg.rule, leg.levels) == ("contracts", 2)
    assert await kitchen.passes(recipe, mail(CONTRACT), to=("p@partner.example",))


async def test_every_recipe_is_run() -> None:
    """A new one on the page needs a test here."""
    run = re.findall(r'recipe(?:, \w+)? = "(.+?)"', Path(__file__).read_text())
    assert sorted(run) == sorted(RECIPES)
    assert len(RECIPES) >= 10


async def test_own_data_from_the_command_line_to_the_wire(place: Place, tmp_path: Path) -> None:
    """Detector, rows and documents by the CLI; then by SMTP: held, refused, and live when they change."""
    ask = place.installation.ask

    def admin(*words: str) -> Any:
        answer = ask(*words, "-o", "json", token=world.ACME_ADMIN)
        assert answer.status == 0, answer.err
        return answer.json

    async def rule_of(text: str) -> str:
        content = mails.plain("alice@acme.example", "a@world.example", "own data", text)
        sent = await send_async(
            *place.installation.host_port("relay"), "alice@acme.example", ["a@world.example"], content,
            source=world.ACME_PEER,
        )  # fmt: skip
        if not sent.mail_id:
            return "refused"

        def certificate() -> Any:
            answer = ask("mail", "why", sent.mail_id, "-o", "json", token=world.ACME_ADMIN)
            return answer.json if answer.status == 0 else None

        found: Any = await eventually(certificate, timeout=30)
        return str(found["decision"]["legs"][0]["rule"])

    before = ask("policy", "get", token=world.ACME_ADMIN)
    patterns, table, contract, file = (tmp_path / n for n in ("p.txt", "c.csv", "master.txt", "acme.yaml"))
    patterns.write_text("PRJ-[0-9]{4}\n")
    table.write_text("name,id\n王小明,C-20391\n")
    contract.write_text(CONTRACT)
    admin("detector", "create", "project", "--patterns", str(patterns), "--context", "project")
    admin("dataset", "create", "customers", "--kind", "exact_data")
    assert admin("dataset", "upload", "customers", str(table), "--column", "id,name")["rows"] == 1
    admin("dataset", "create", "contracts", "--kind", "fingerprint")
    assert admin("dataset", "add", "contracts", str(contract))["document_count"] == 1
    rules = [RECIPES[r].partition("rules:\n")[2] for r in RECIPES if "set:" in RECIPES[r] or "project" in RECIPES[r]]
    file.write_text("version: 1\nrules:\n" + "".join(rules))
    admin("policy", "apply", "-f", str(file))
    try:
        assert await rule_of("customer C20391 is 王小明\n") == "customers"
        assert await rule_of(f"see below\n{CONTRACT}\n") == "contracts"
        assert await rule_of("the project is PRJ-1234\n") == "misdirected"
        assert await rule_of("nothing of note, TSK-1234\n") == ""
        patterns.write_text("TSK-[0-9]{4}\n")
        admin("detector", "update", "project", "--patterns", str(patterns))

        async def live() -> bool:
            return await rule_of("nothing of note, TSK-1234\n") == "misdirected"

        await eventually(live, timeout=30)
        assert ask("dataset", "delete", "customers", token=world.ACME_ADMIN).status == 1
        assert ask("dataset", "get", "customers", token=world.GLOBEX_ADMIN).status == 3
    finally:
        file.write_text(before.out)
        assert ask("policy", "apply", "-f", str(file), token=world.ACME_ADMIN).status == 0
