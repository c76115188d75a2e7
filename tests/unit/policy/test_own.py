"""What a tenant adds: patterns, words, rows, fingerprints; what they find, what they spare, and what they may cost."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable

import hyperscan
import pytest
import re2
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from letterlock.mail.v1 import mail_pb2

from services.common.ids import MailId, TenantId
from services.policy.core.detectors.engine import Database
from services.policy.core.detectors.scanner import Scanner
from services.policy.core.detectors.table import DETECTORS
from services.policy.core.document import parse
from services.policy.core.evaluate import Match, evaluate
from services.policy.core.extract import Limits
from services.policy.core.known import Known
from services.policy.core.message import Attachment, Direction, Message
from services.policy.core.own import MAX_PROBES, Budget, Own, OwnBudgetSpent, OwnDetector, asked
from services.policy.core.own.patterns import MAX_HITS, check, pattern_detector, screen
from services.policy.core.own.prints import BadPrints, Prints
from services.policy.core.own.prints import load as load_prints
from services.policy.core.own.rows import BadRows, Rows, digested, load, merged
from services.policy.core.own.units import fold, joined, placed, units
from services.policy.core.own.words import word_detector
from services.policy.core.rules import Policy
from services.policy.core.scanning import scanner_of
from services.policy.core.text import normalise
from services.policy.decide import Bounds, Decider
from services.policy.pool import FairPool
from services.policy.ports import InForce
from tests.unit.policy.builders import mail, transaction

KEY = bytes(range(32))
PEOPLE = [
    ["A123456789", "王小明", "02-2345-6789", "wang@acme.example"],
    ["B287654321", "陳美麗", "0912 345 678", "chen@acme.example"],
    ["C100000001", "John Smith", "", "john.smith@acme.example"],
]
COLUMNS = ["id", "name", "phone", "mail"]
CONTRACT = (
    "This agreement is made between the parties named below and governs the sale, delivery and maintenance of the "
    "machines that are listed in annex one. The seller delivers the machines within ninety days of the signature and "
    "keeps them in working order for three years, as annex two describes. 甲方應於簽約後九十日內交付附件一所列之機器設備,"
    "並負責維修保養三年,逾期未交付者,每逾一日按契約總價千分之一計算逾期違約金。"
)


def find(detector: OwnDetector, *texts: str) -> list[tuple[int, str, str]]:
    """(text, found, confidence), by way of the scanner."""
    plain = [normalise(t) for t in texts]
    found = Scanner((), (detector,)).scan(plain)[detector.name]
    return [(n, plain[n][h.start : h.end], h.confidence) for n, h in found]


def table(rows: list[list[str]] = PEOPLE, columns: list[str] = COLUMNS) -> Rows:
    """Rows ready for use."""
    return load(merged([digested(columns, rows, KEY)]), KEY)


def test_patterns_find_what_re2_finds_in_every_text() -> None:
    """Beside Han characters, at the ends of texts, in the second text; places are in characters."""
    detector = pattern_detector("project", [r"PRJ-[0-9]{4}", r"^機密等級.{2}$"])
    assert find(detector, "案號PRJ-1234謝謝 PRJ-12", "機密等級極高") == [
        (0, "PRJ-1234", "medium"), (1, "機密等級極高", "medium"),
    ]  # fmt: skip


def test_a_longer_find_takes_those_inside_of_it() -> None:
    """One place is one find, whichever pattern says so."""
    assert find(pattern_detector("own", ["abc", "abcdef", "def"]), "abcdef") == [(0, "abcdef", "medium")]


def test_context_and_threshold_say_what_counts() -> None:
    """High beside a context word, low without; too few are none."""
    near = pattern_detector("badge", ["[0-9]{6}"], context=["Badge", "識別證"])
    assert find(near, "BADGE no 123456", "識別証 123456", "識別證123456") == [
        (0, "123456", "high"), (1, "123456", "low"), (2, "123456", "high"),
    ]  # fmt: skip
    many = pattern_detector("badge", ["[0-9]{6}"], threshold=2)
    assert find(many, "123456") == []
    assert len(find(many, "123456", "654321")) == 2


def test_case_is_ignored_in_every_script() -> None:
    """Also where Vectorscan would not see it."""
    assert (
        len(find(pattern_detector("own", ["straße [0-9]+", "проект"], ignore_case=True), "STRASSE 1 Straße 2 ПРОЕКТ"))
        == 2
    )


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (r"(?<=a)b", "not RE2"), (r"(a)\1", "not RE2"), ("a*", "nothing"), ("(a{500}){900}", "not RE2"), ("a" * 1001, "1 to"),
        ("", "1 to"),
    ],
)  # fmt: skip
def test_unsafe_patterns_are_refused_with_their_number(source: str, reason: str) -> None:
    """The second of two."""
    with pytest.raises(ValueError, match=f"pattern 2: .*{reason}"):
        check(pattern_detector("own", ["good", source]))


_PIECES = st.lists(
    st.sampled_from([
        "a", "b", "7", "k", " ", ".", "[^a]", "[a-c]", r"\d", r"\w", r"\b", r"\s", r"\W", "^", "$", "機", "(?:ab|7k)", "(?i:K)",
        r"\p{Han}", "+", "?", "{2,3}", "|", "(?s:.)", r"\D", "é",
    ]),
    min_size=1, max_size=7,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(_PIECES, st.lists(st.text("ab7kK 機é.\n", max_size=12), min_size=1, max_size=3), st.booleans())
def test_a_screen_is_met_wherever_its_pattern_is(pieces: list[str], texts: list[str], ignore_case: bool) -> None:
    """Whatever the pattern: what RE2 finds in a text alone, the scanner finds in all of them."""
    source = "".join(pieces)
    try:
        detector = pattern_detector("own", [source], ignore_case=ignore_case)
        check(detector)
    except ValueError:
        assume(False)
    plain = [normalise(t) for t in texts]
    options = re2.Options()
    options.log_errors, options.case_sensitive = False, not ignore_case
    expected = [n for n, t in enumerate(plain) if any(m.group() for m in re2.compile(source, options).finditer(t))]
    assert sorted({n for n, _ in Scanner((), (detector,)).scan(plain)["own"]}) == expected


def test_the_screen_only_counts_that_it_is_there() -> None:
    """A text of nothing but finds reports a pattern once."""
    made = screen("[a-z]", ignore_case=False)
    assert made is not None
    assert made[1] & hyperscan.HS_FLAG_SINGLEMATCH
    assert len(Database((made,)).scan(b"a" * 10_000)) == 1


def test_words_weigh_once_each_and_only_whole() -> None:
    """Width and case fold; a Latin word inside another is none, a Chinese one is."""
    detector = word_detector("cv", [("Resume", 3), ("學歷", 2), ("exp", 5), ("自傳", 2)], threshold=5)
    assert find(detector, "ＲＥＳＵＭＥ 與最高學歷") == [(0, "RESUME 與最高學歷", "medium")]
    assert find(detector, "resume resume expert résumé") == []
    assert find(detector, "resume", "學歷 自傳") == []
    assert find(detector, "Resume 學歷 自傳 exp")[0][2] == "high"


@pytest.mark.parametrize(
    ("words", "threshold", "reason"),
    [
        ([], 1, "1 to 10000"), ([("a", 0)], 1, "word 1"), ([("a", 1), (" ", 1)], 1, "word 2"), ([("a", 1)], 2, "never"),
        ([("a" * 65, 1)], 1, "word 1"), ([("a", 1)], 0, "at least 1"),
    ],
)  # fmt: skip
def test_words_that_cannot_be_are_refused(words: list[tuple[str, int]], threshold: int, reason: str) -> None:
    """With the number of the word."""
    with pytest.raises(ValueError, match=reason):
        word_detector("own", words, threshold=threshold)


def test_built_in_and_own_detectors_share_a_pass() -> None:
    """What the built-in ones find is the same beside a thousand own patterns."""
    own = pattern_detector("own", [f"Z{i:04}[0-9]{{3}}" for i in range(1000)])
    words = word_detector("words", [(f"word{i}x", 1) for i in range(10_000)], threshold=2)
    texts = ["身分證字號 A123456789, 卡號 4111 1111 1111 1111", "Z0042123 word1x word9999x"]
    alone = Scanner(DETECTORS.values()).scan(texts)
    together = Scanner(DETECTORS.values(), (own, words)).scan(texts)
    assert {n: hits for n, hits in together.items() if n in alone} == alone
    assert [n for n, _ in together["own"]] == [1]
    assert [h.masked for _, h in together["words"]] == ["2 words, weight 2"]


@pytest.mark.parametrize(
    "text",
    [
        "王小明 A123456789",
        "ID: a１２３４５６７８９，王 小 明",
        "王小明的身分證是A123456789。",
        "A-123-456-789 / 王小明",
    ],
)
def test_a_row_is_found_however_it_is_written(text: str) -> None:
    """Width, case and separators make no difference; boundaries do."""
    (found,) = table().find(normalise(text), Budget())
    assert found.columns == 2
    assert normalise(text)[found.start : found.end].replace("-", "").upper() == "A123456789"


def test_what_counts_of_a_row_is_of_that_row() -> None:
    """Another person's name does not corroborate; a longer number is another number."""
    assert [f.columns for f in table().find("A123456789 陳美麗", Budget())] == [1]
    assert table().find("XA123456789 A1234567890", Budget()) == []
    assert [f.columns for f in table().find("C100000001 John Smith <john.smith@acme.example>", Budget())] == [3]


def test_empty_cells_are_no_cells() -> None:
    """The third person has no phone: nothing counts for it."""
    assert [f.columns for f in table().find("C100000001", Budget())] == [1]


def test_one_primary_cell_may_have_several_rows() -> None:
    """The best of them counts."""
    rows = table([["Acme Ltd", "alpha"], ["Acme Ltd", "beta"], ["ACME LTD", "beta"]], ["company", "product"])
    assert len(rows) == 2
    assert [f.columns for f in rows.find("acme-ltd makes beta", Budget())] == [2]


def test_a_file_of_rows_holds_no_cell() -> None:
    """Not a word of it, and nothing without the key."""
    file = digested(COLUMNS, PEOPLE, KEY)
    for cell in (c for row in PEOPLE for c in row if c):
        assert cell.encode() not in file
        assert joined(cell).encode() not in file
    assert load(file, bytes(32)).find("A123456789 王小明", Budget()) == []


def test_parts_of_a_table_are_one_table() -> None:
    """In any order, each row once."""
    chance = random.Random(1)
    rows = [[f"ID{chance.randrange(10**8):08}", f"name{i}"] for i in range(500)]
    parts = [digested(["id", "n"], rows[i : i + 100], KEY) for i in range(0, 500, 100)]
    whole = load(merged([*parts, parts[0]]), KEY)
    assert len(whole) == 500
    assert list(whole.cells[0]) == sorted(whole.cells[0])
    assert all(whole.find(f"{a} {b}", Budget())[0].columns == 2 for a, b in rows)


@pytest.mark.parametrize(
    ("columns", "rows", "reason"),
    [
        (["a", "b"], [["12345678"]], "line 2: 1 columns"), (["a"], [["12345678"], ["123"]], "line 3: .*fewer than 4"),
        (["a"], [["x" * 65]], "more than 64"), ([], [], "columns"), (["a", "a"], [], "name of its own"), (["a"], [["王"]], "short"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_are_refused_with_their_line(
    columns: list[str], rows: list[list[str]], reason: str
) -> None:
    """The header is line 1."""
    with pytest.raises(BadRows, match=reason):
        digested(columns, rows, KEY)


@given(st.binary(max_size=200))
def test_a_file_that_is_none_is_refused(junk: bytes) -> None:
    """Whatever it is; also a good one that was cut or goes on."""
    for bad in (junk, b"LLROWS1\n" + junk, digested(["a"], [["12345678"]], KEY) + b"x"):
        with pytest.raises(BadRows):
            load(bad, KEY)
    for bad in (junk, b"LLPRINTS1\n" + junk + b"x"):
        with pytest.raises(BadPrints):
            load_prints(bad, KEY)


def test_documents_are_recognised_by_the_share_that_is_there() -> None:
    """Whole in a longer mail, in another layout; half is half; another text is nothing."""
    prints = load_prints(Prints({}, KEY).with_document("master.docx", [normalise(CONTRACT)]).dump(), KEY)
    quoted = "Hello,\n> " + CONTRACT.upper().replace(", ", " ,\n> ") + "\nbest regards, " + "and more words " * 50
    assert prints.best(normalise(quoted), Budget()) == (1.0, "master.docx")
    half, name = prints.best(normalise(CONTRACT[: len(CONTRACT) // 2]), Budget())
    assert name == "master.docx"
    assert 0.2 < half < 0.7
    assert (
        prints.best("We would like to invite you to the annual review of all the teams and projects.", Budget())[0] == 0
    )
    assert load_prints(prints.dump(), bytes(32)).best(normalise(CONTRACT), Budget())[0] == 0


def test_fingerprints_hold_no_word() -> None:
    """Only hashes; too short a text has none."""
    prints = Prints({}, KEY).with_document("a", [CONTRACT])
    assert not any(word.encode() in prints.dump() for word in ("agreement", "甲方", "ninety"))
    with pytest.raises(BadPrints, match="too few"):
        prints.with_document("b", ["short text"])
    assert prints.without("a").best(CONTRACT, Budget()) == (0.0, "")


@given(st.text(max_size=200))
def test_units_stand_where_they_say(text: str) -> None:
    """In order, inside of the text, never empty."""
    plain, last = normalise(text), 0
    for unit, start in zip(*placed(plain), strict=True):
        assert last <= start
        assert fold(plain)[start : start + len(unit)] == unit
        last = start + len(unit)
    assert placed(plain)[0] == units(plain)
    assert len(fold(plain)) == len(plain)


# --- rules ---------------------------------------------------------------------------------------------------------

KNOWN = Known(detectors=frozenset({*DETECTORS, "project"}), rows={"customers": 4}, prints=frozenset({"contracts"}))


def own(**more: object) -> Own:
    """A tenant's own, all ready."""
    made = {
        "detectors": {"project": pattern_detector("project", ["PRJ-[0-9]{4}"])},
        "rows": {"customers": table()},
        "prints": {"contracts": Prints({}, KEY).with_document("master.docx", [CONTRACT])},
    }
    return Own(**{**made, **more})  # type: ignore[arg-type]


def document(when: str) -> Policy:
    """A policy of one rule."""
    checked = parse(f"version: 1\nrules:\n  - {{id: r, when: {when}, then: {{hold: {{}}}}}}\n", KNOWN)
    assert checked.policy is not None, checked.mistakes
    return checked.policy


def judged(when: str, message: Message, mine: Own) -> Match:
    """What the rule says."""
    (match,) = evaluate(document(when), message, transaction(), lambda _: frozenset(), own=mine)
    return match


@pytest.mark.parametrize(
    "when",
    [
        "{detector: {name: project}}", "{exact_data: {set: customers, columns: 2}}",
        "{fingerprint: {set: contracts, at_least: 0.6}}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["body", "hidden", "attachment", "subject"])
def test_rules_find_the_tenant_s_own_wherever_it_is(when: str, place: str) -> None:
    """Bodies, what is hidden, what files hold; masked in the why, and nothing in a mail without."""
    text = f"PRJ-1234 A123456789 王小明 {CONTRACT}"
    message = {
        "body": Message(bodies=("hello", text)),
        "hidden": Message(hidden=(text,)),
        "attachment": Message(attachments=(Attachment("2/1", "a.txt", "text/plain", 1, text),)),
        "subject": Message(subject=text),
    }[place]
    match = judged(when, message, own())
    assert match.recipients == (0,)
    (why,) = match.why
    assert why.spans
    assert not any(secret in span for span in why.spans for secret in ("PRJ-1234", "A123456789", "王小明", "agreement"))
    assert judged(when, Message(bodies=("hello",)), own()).recipients == ()


@pytest.mark.parametrize(
    ("when", "gone"),
    [
        ("{detector: {name: project}}", "detectors"), ("{exact_data: {set: customers}}", "rows"),
        ("{fingerprint: {set: contracts}}", "prints"),
    ],
)  # fmt: skip
def test_a_rule_that_asks_for_what_is_gone_fails(when: str, gone: str) -> None:
    """It is not taken for one that did not match."""
    assert judged(when, Message(bodies=("hello",)), own(**{gone: {}})).error == "OwnMissing"


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ("{detector: {name: projects}}", "unknown detector 'projects'"), ("{exact_data: {set: people}}", "known are customers"),
        ("{exact_data: {set: customers, columns: 5}}", "has 4 columns"), ("{fingerprint: {set: x}}", "known are contracts"),
        ("{fingerprint: {set: contracts, at_least: 60}}", "0.1 to 1"), ("{exact_data: {columns: 1}}", "needs the set"),
        ("{fingerprint: {set: contracts, at_least: true}}", "0.1 to 1"),
    ],
)  # fmt: skip
def test_unknown_names_are_refused_with_their_line(when: str, reason: str) -> None:
    """Line 3 of the document."""
    checked = parse(f"version: 1\nrules:\n  - {{id: r, when: {when}, then: {{hold: {{}}}}}}\n", KNOWN)
    (mistake,) = checked.mistakes
    assert mistake.line == 3
    assert reason in mistake.reason


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["exact_data", "fingerprint"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab{}[]:é\x00", max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["set", "columns", "at_least", "x"]), inner, max_size=3),
    max_leaves=4))  # fmt: skip
def test_no_predicate_breaks_the_checker(name: str, settings: object) -> None:
    """Refused or taken, never a crash."""
    import json

    text = json.dumps({"version": 1, "rules": [{"id": "r", "when": {name: settings}, "then": [{"hold": {}}]}]})
    checked = parse(text, KNOWN)
    assert (checked.policy is None) == bool(checked.mistakes)


def test_what_a_policy_asks_is_known() -> None:
    """So that only that is loaded."""
    found = asked(
        document("[{detector: {name: project}}, {exact_data: {set: customers}}, {fingerprint: {set: contracts}}]")
    )
    assert [sorted(names) for names in (found.detectors, found.rows, found.prints)] == [
        ["project"], ["customers"], ["contracts"],
    ]  # fmt: skip


# --- costs -----------------------------------------------------------------------------------------------------------


def test_a_thousand_nasty_patterns_end_at_the_budget() -> None:
    """Each matches everywhere; what they may read is counted, not timed."""
    nasty = pattern_detector("nasty", [f"[a-z ]{{1,{i % 90 + 10}}}x?" for i in range(1000)])
    spent = Budget()
    spent.read = (512 << 20) - 500_000
    with pytest.raises(OwnBudgetSpent):
        Scanner((), (nasty,)).scan(["some words of text " * 200], spent)
    match = judged("{detector: {name: project}}", Message(bodies=("x",)), own(detectors={"project": _Greedy()}))
    assert match.error == "OwnBudgetSpent"


class _Greedy:
    """A detector that reads more than there is."""

    name, screens = "project", ()

    def find(self, texts: object, possible: object, budget: Budget) -> list[object]:
        """Spends all."""
        budget.spend(read=1 << 40)
        return []


def test_finds_digests_and_words_are_bounded() -> None:
    """Of a text of nothing but finds."""
    assert len(Scanner((), (pattern_detector("p", ["[a-z]"]),)).scan(["a" * 20_000])["p"]) <= MAX_HITS
    spent = Budget()
    spent.probes = MAX_PROBES
    with pytest.raises(OwnBudgetSpent):
        table().find("B999999999", spent)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text("abAB王é1 ", min_size=1, max_size=4), min_size=1, max_size=6),
    st.text("abAB王é1 -", max_size=30),
)
def test_words_are_those_that_a_reader_finds(words: list[str], text: str) -> None:
    """One by one, with the edges of Latin words looked at, as many weigh as the automaton says."""
    plain = normalise(text)
    folded = {fold(normalise(w)).strip() for w in words} - {""}
    assume(folded)
    detector = word_detector("w", [(w, 1) for w in folded], threshold=1)
    latin = "[0-9a-z]"
    expected = {
        w for w in folded
        if re.search((f"(?<!{latin})" if re.match(latin, w) else "") + re.escape(w) + (f"(?!{latin})" if re.search(latin + r"\Z", w) else ""),
                     fold(plain))
    }  # fmt: skip
    found = detector.find([plain], (), Budget())
    # It stops looking once it is sure twice over.
    assert bool(found) == bool(expected)
    if len(expected) <= 1:
        assert [h.masked for _, h in found] == [f"{len(expected)} words, weight {len(expected)}"] * bool(expected)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.text("AB12王é-", min_size=6, max_size=12), st.text("xyz9明 ", max_size=6)), min_size=1, max_size=5
    ),
    st.sampled_from([" ", "-", "\n", "。", " / "]),
)
def test_every_registered_row_is_found(rows: list[tuple[str, str]], between: str) -> None:
    """Whatever its cells are, written one after the other."""
    assume(all(len(joined(a)) >= 4 for a, _ in rows))
    made = table([list(r) for r in rows], ["a", "b"])
    for first, second in rows:
        found = made.find(normalise(f"x{between}{first}{between}{second}{between}y"), Budget())
        assert max(f.columns for f in found) >= 1 + bool(joined(second))


class _Counting(FairPool):
    """Counts who is decided in threads."""

    def __init__(self) -> None:
        super().__init__(2, waiting=20, waiting_per_tenant=20)
        self.jobs: list[TenantId] = []

    async def run[T](self, tenant: TenantId, work: Callable[[], T]) -> T:
        """Count, then run."""
        self.jobs.append(tenant)
        return await super().run(tenant, work)


class _Two:
    """A tenant with a thousand nasty patterns, and one with a word."""

    def __init__(self) -> None:
        self.nasty, self.calm = TenantId.new(), TenantId.new()
        slow = pattern_detector("project", [f"[a-z ]{{1,{i % 90 + 10}}}x?" for i in range(1000)])
        heavy = InForce(document("{detector: {name: project}}"), 1, own(detectors={"project": slow}))
        scanner_of(heavy.policy, heavy.own)
        light = InForce(document("{subject: {contains: hello}}"), 1)
        self._by = {self.nasty: heavy, self.calm: light}

    def current(self, tenant: TenantId) -> InForce:
        """The tenant's."""
        return self._by[tenant]

    def group(self, tenant: TenantId, name: str) -> frozenset[str]:
        """None."""
        return frozenset()

    def direction_of(self, tenant: TenantId, address: str, *, from_stranger: bool) -> Direction:
        """Out."""
        return "outbound"


async def test_a_tenant_with_nasty_patterns_never_has_the_event_loop() -> None:
    """Its mails are judged in threads, of which it has not all; the other tenant's small mails are judged at once."""
    two, pool = _Two(), _Counting()
    decider = Decider(two, pool, Bounds(Limits(), 1 << 16))

    async def decide(tenant: TenantId) -> mail_pb2.Decision:
        raw = mail("some words of text " * 300)
        envelope = mail_pb2.Envelope(tenant=tenant, mail_id=MailId.new(), sender="a@acme.example", size=len(raw))
        envelope.recipients.add(address="b@world.example", direction=mail_pb2.DIRECTION_OUTBOUND)
        return await decider(envelope, raw, queued=False, timeout=60)

    busy = [asyncio.create_task(decide(two.nasty)) for _ in range(3)]
    await asyncio.sleep(0)
    calm = [await decide(two.calm) for _ in range(20)]
    await asyncio.gather(*busy)
    assert all(d.legs for d in calm)
    assert pool.jobs == [two.nasty] * 3
    pool.close()
