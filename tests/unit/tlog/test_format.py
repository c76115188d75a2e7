"""The format against the specifications' own examples, and the two ways to read a leaf against each other."""

from __future__ import annotations

import hashlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.tlog import checkpoint, entry, merkle, note, policy, tiles

EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()


def test_the_specifications_note_verifies() -> None:
    """C2SP signed-note's example; one changed byte does not."""
    key = note.Key.parse(EXAMPLE_KEY)
    assert key.text == EXAMPLE_KEY
    assert note.parse(EXAMPLE).signed_by(key)
    assert note.parse(EXAMPLE).dump() == EXAMPLE
    with pytest.raises(ValueError, match="does not verify"):
        note.parse(EXAMPLE.replace(b"example m", b"exbmple m")).signed_by(key)


def test_the_specifications_checkpoint_is_read() -> None:
    """C2SP tlog-checkpoint's example."""
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    head = checkpoint.parse(text)
    assert (head.origin, head.size, head.text) == ("example.com/behind-the-sofa", 20852163, text)
    for wrong in (text + "more\n", text.replace("20852163", "020852163"), text[:-3] + "\n", "a\n1\n"):
        with pytest.raises(ValueError, match="checkpoint"):
            checkpoint.parse(wrong)


def test_tiles_are_where_the_specification_says() -> None:
    """tlog-tiles' examples: index 1234067, and the tiles of a tree of 70,000 and of 256."""
    assert tiles.tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tiles.tile_path("entries", 0, 12) == "tile/entries/000.p/12"
    found = list(tiles.widths(70_000))
    assert sum(level == 0 and width == 256 for level, _, width in found) == 273
    assert [t for t in found if t[2] < 256] == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert list(tiles.widths(256)) == [(0, 0, 256), (1, 0, 1)]


@given(old=st.integers(0, 2000), more=st.integers(0, 2000))
def test_new_tiles_are_those_that_were_not_there(old: int, more: int) -> None:
    """Between any two sizes."""
    assert set(tiles.new_tiles(old, old + more)) == set(tiles.widths(old + more)) - set(tiles.widths(old))


LEAVES = [merkle.leaf_hash(n.to_bytes(2)) for n in range(70)]


def _node(level: int, index: int) -> bytes:
    return merkle.root_of(LEAVES[index << level : (index + 1) << level])


def _mth(hashes: list[bytes]) -> bytes:
    """RFC 6962 2.1, word by word."""
    if len(hashes) <= 1:
        return hashes[0] if hashes else hashlib.sha256(b"").digest()
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\1" + _mth(hashes[:k]) + _mth(hashes[k:])).digest()


def test_roots_and_proofs_of_every_small_tree() -> None:
    """Every size, every leaf, every pair of sizes; a changed proof never verifies."""
    growing = merkle.Growing()
    for size in range(len(LEAVES) + 1):
        expected = _mth(LEAVES[:size])
        assert growing.root() == merkle.root(size, _node) == merkle.root_of(LEAVES[:size]) == expected
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, _node)
            assert merkle.root_from_inclusion(index, size, LEAVES[index], proof) == expected
        for first in range(size + 1):
            path = merkle.consistency_proof(first, size, _node)
            merkle.check_consistency(first, size, _mth(LEAVES[:first]), expected, path)
            if path:
                for wrong in ([*path[:-1], bytes(32)], path[:-1], [*path, bytes(32)]):
                    with pytest.raises(ValueError, match="proof"):
                        merkle.check_consistency(first, size, _mth(LEAVES[:first]), expected, wrong)
        if size < len(LEAVES):
            growing.append(LEAVES[size])


def leaf(**more: object) -> entry.Leaf:
    """A leaf like any other."""
    fields: dict[str, object] = {
        "id": "ab" * 16, "tenant": "01M86BXR3RSRMMW29REDE19BZD", "time": "2026-11-24T08:00:00.000001Z",
        "service": "archive", "who": "cd" * 16, "actor": "ef" * 32, "action": "archive.searched", "outcome": "done",
        "detail": "01" * 32, "facts": {"root": "22" * 32, "total": 3, "capabilities": ["open", "search"]},
        "mail_ids": ("01M86BXR3RSRMMW29REDE19BZD",), "grant_id": "G", "case_id": "C",
    }  # fmt: skip
    return entry.Leaf(**{**fields, **more})  # type: ignore[arg-type]


@given(
    total=st.integers(-(2**53) + 1, 2**53 - 1),
    text=st.text(st.characters(codec="utf-8"), max_size=40),
    late=st.booleans(),
    grant=st.from_regex(r"[!-~]{0,20}", fullmatch=True),
)
def test_leaf_is_canonical_and_read_back(total: int, text: str, late: bool, grant: str) -> None:
    """RFC 8785 by its own library and by the fast reader are the same bytes; `scan` says what `load` says."""
    made = leaf(facts={"total": total, "note": text}, late=late, grant_id=grant)
    data = made.dump()
    assert entry.load(data) == made
    fast = entry.scan(data)
    if fast is not None:
        assert fast == {"id": made.id, "action": made.action, "outcome": made.outcome, "tenant": made.tenant}


def test_fast_reader_takes_the_usual() -> None:
    """What services write every day never needs the slow way."""
    assert entry.scan(leaf().dump())
    assert entry.scan(leaf(facts={}, mail_ids=()).dump())


@pytest.mark.parametrize(
    "change",
    [
        {"action": "archive.stolen"}, {"outcome": "perhaps"}, {"time": "2026-11-24"}, {"actor": "alice@acme.example"},
        {"who": ""}, {"mail_ids": ["x"]}, {"facts": {"Bad Name": 1}}, {"facts": {"a": {"b": 1}}}, {"facts": {"a": 1.5}},
        {"late": 1}, {"v": 2}, {"extra": 1}, {"mail_ids": ["01M86BXR3RSRMMW29REDE19BZD"] * 1001},
    ],
)  # fmt: skip
def test_what_is_no_leaf_is_refused_by_both_readers(change: dict[str, object]) -> None:
    """Schema: by `load` with the reason, and never passed by `scan`."""
    document = {**orjson.loads(leaf().dump()), **change}
    data = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    assert entry.scan(data) is None
    with pytest.raises(ValueError, match=r".+"):
        entry.load(data)


def test_not_canonical_is_refused() -> None:
    """The same meaning in other bytes is another leaf."""
    data = leaf().dump()
    for other in (
        data.replace(b'":"', b'": "', 1),
        orjson.dumps(dict(reversed(orjson.loads(data).items()))),
        data + b" ",
    ):
        assert entry.scan(other) is None
        with pytest.raises(ValueError, match=r".+"):
            entry.load(other)


def test_policy_of_the_specification() -> None:
    """Groups of groups with thresholds; what is defined below cannot be named above."""
    keys = [note.Key(f"w{n}", bytes([n]) * 32, note.COSIGNATURE).text for n in range(6)]
    rules = "".join(f"witness W{n} {key}\n" for n, key in enumerate(keys))
    rules += "group X 2 W0 W1 W2\ngroup Y any W3 W4 W5\ngroup Z all X Y\nquorum Z\n"
    found = policy.parse(rules)
    assert found.groups["X"] == (2, ("W0", "W1", "W2"))
    assert not found.satisfied(note.Note("a\n1\nb\n"))
    for wrong in ("quorum X\n", "group X 3 W0\nquorum X\n", "", f"log {keys[0]}\nquorum none\n", "what\nquorum none\n"):
        with pytest.raises(ValueError, match=r".+"):
            policy.parse(wrong)
