"""Is an exported log what it claims? Everything that is wrong, and where; needs the log's key and a policy only."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson

from services.common.tlog import access, checkpoint, entry, export, merkle, note, tiles
from services.common.tlog.policy import Policy

_MOST_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong and where: the file, and the entry or the line in it."""

    where: str
    what: str


@dataclass(slots=True)
class Report:
    """What was found. `witnessed` is the largest size that a quorum cosigned; 0 without one."""

    origin: str = ""
    size: int = 0
    root: bytes = b""
    checkpoints: int = 0
    witnessed: int = 0
    values: int = 0
    people: dict[str, str] = field(default_factory=dict)
    """Actors by pseudonym, and pseudonyms by actor (after a space), where values are there."""
    actions: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def wrong(self, where: str, what: str) -> None:
        """Add a finding; after a hundred the rest is not listed."""
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(Finding(where, what))

    @property
    def verdict(self) -> str:
        """In words: `broken`, `self-consistent only`, `witnessed`, or up to which size it is."""
        if self.findings:
            return "broken"
        if not self.witnessed:
            return "self-consistent only"
        return (
            "witnessed"
            if self.witnessed == self.size
            else f"witnessed up to {self.witnessed}, then self-consistent only"
        )


def verify(
    archive: export.Archive, key: note.Key, policy: Policy | None = None, known: note.Note | None = None
) -> Report:
    """Check everything in an export. `known` is a checkpoint kept from before, which the log must extend."""
    report = Report()
    head = _head(archive, key, report)
    if head is None:
        return report
    report.origin, report.size, report.root = head.origin, head.size, head.root
    notes = _history(archive, key, head, policy, report)
    _known(known, key, head, notes, report)
    expected = _entries(archive, head, notes, report)
    for name in sorted(archive.names - expected):
        report.wrong(name, "does not belong to an export of this size")
    if policy is not None and policy.quorum and not report.witnessed:
        report.wrong("checkpoint", "no checkpoint has the cosignatures that the policy asks for")
    return report


def _head(archive: export.Archive, key: note.Key, report: Report) -> checkpoint.Checkpoint | None:
    where = "manifest.json"
    try:
        document = orjson.loads(archive.read(where))
        if not isinstance(document, dict) or document.get("format") != export.FORMAT:
            raise ValueError(f"not an export in the format {export.FORMAT}")
        if document.get("origin") != key.name:
            raise ValueError(f"of the log {document.get('origin')}, while the key is of {key.name}")
        where = "checkpoint"
        head, _ = checkpoint.opened(archive.read(where), key)
        if document.get("size") != head.size:
            raise ValueError(f"has {head.size} entries, the manifest says {document.get('size')}")
    except ValueError as error:
        report.wrong(where, str(error))
        return None
    return head


def _history(
    archive: export.Archive, key: note.Key, head: checkpoint.Checkpoint, policy: Policy | None, report: Report
) -> dict[int, tuple[bytes, str]]:
    """Root by size of every checkpoint, with where it stands."""
    found: dict[int, tuple[bytes, str]] = {}
    last = 0
    for name, number, signed in _signed(archive, report):
        where = f"{name} line {number}"
        try:
            one, whole = checkpoint.opened(signed, key)
            if policy is not None and policy.satisfied(whole):
                report.witnessed = max(report.witnessed, one.size)
        except ValueError as error:
            report.wrong(where, str(error))
            continue
        if one.size <= last:
            report.wrong(where, f"a checkpoint of {one.size} entries after one of {last}")
        if one.size > head.size:
            report.wrong(where, f"a checkpoint of {one.size} entries in an export of {head.size}: rolled back")
        if found.setdefault(one.size, (one.root, where))[0] != one.root:
            report.wrong(where, f"a second root for {one.size} entries: the log is forked")
        last = max(last, one.size)
        report.checkpoints += 1
    if head.size and found.get(head.size, (b"", ""))[0] != head.root:
        report.wrong("checkpoint", "is not the last of the history")
    found[head.size] = head.root, "checkpoint"
    return found


def _signed(archive: export.Archive, report: Report) -> Iterator[tuple[str, int, bytes]]:
    number = 0
    while (name := export.history_name(number)) in archive.names:
        try:
            rows = archive.read(name).splitlines()
            for line, row in enumerate(rows, 1):
                yield name, line, str(orjson.loads(row)).encode()
        except ValueError as error:
            report.wrong(name, f"not lines of checkpoints: {error}")
        number += 1


def _known(
    known: note.Note | None,
    key: note.Key,
    head: checkpoint.Checkpoint,
    notes: dict[int, tuple[bytes, str]],
    report: Report,
) -> None:
    if known is None:
        return
    try:
        before, _ = checkpoint.opened(known.dump(), key)
    except ValueError as error:
        report.wrong("known checkpoint", str(error))
        return
    if before.size > head.size:
        report.wrong("checkpoint", f"has {head.size} entries, but {before.size} are known: rolled back")
    elif notes.setdefault(before.size, (before.root, "known checkpoint"))[0] != before.root:
        report.wrong("known checkpoint", f"has another root for {before.size} entries: the log is forked")


def _entries(
    archive: export.Archive, head: checkpoint.Checkpoint, notes: dict[int, tuple[bytes, str]], report: Report
) -> set[str]:
    """Every entry, tile and root; returns the names that belong to the export."""
    names = {"manifest.json", "checkpoint"}
    names |= {n for n in archive.names if n.startswith("history/") and n.endswith(".jsonl")}
    tenant = head.origin.rpartition("/")[2]
    above = merkle.Growing()  # over the hashes of full tiles
    full_tiles: list[bytes] = []
    seen: set[str] = set()
    accesses = access.Accesses()
    sizes = sorted(notes)
    for index in range((head.size + tiles.WIDTH - 1) // tiles.WIDTH):
        start = index * tiles.WIDTH
        width = min(tiles.WIDTH, head.size - start)
        name = tiles.tile_path("entries", index, width)
        names |= {name, export.values_name(index)}
        leaves = _bundle(archive, name, width, report)
        hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
        _leaves(leaves, start, name, tenant, seen, accesses, report)
        _values(archive, index, leaves, start, report)
        _compare(archive, 0, index, hashes, names, report)
        below = list(_between(sizes, start, start + width))
        if below:
            _roots(above, hashes, start, below, notes, report)
        if width == tiles.WIDTH:
            node = merkle.root_of(hashes)
            above.append(node)
            full_tiles.append(node)
    if 0 in notes and notes[0][0] != merkle.EMPTY:
        report.wrong(notes[0][1], "an empty log with a root")
    level, row = 1, full_tiles
    while row:
        for index in range((len(row) + tiles.WIDTH - 1) // tiles.WIDTH):
            _compare(archive, level, index, row[index * tiles.WIDTH :][: tiles.WIDTH], names, report)
        full = len(row) // tiles.WIDTH
        row = [merkle.root_of(row[i * tiles.WIDTH :][: tiles.WIDTH]) for i in range(full)]
        level += 1
    return names


def _between(sizes: list[int], start: int, end: int) -> Iterator[int]:
    for position in range(bisect_right(sizes, start), len(sizes)):
        if sizes[position] > end:
            return
        yield sizes[position]


def _bundle(archive: export.Archive, name: str, width: int, report: Report) -> list[bytes]:
    try:
        leaves = tiles.unbundle(archive.read(name))
    except ValueError as error:
        report.wrong(name, str(error))
        return []
    if len(leaves) != width:
        report.wrong(name, f"has {len(leaves)} entries where {width} belong")
    return leaves


def _leaves(
    leaves: list[bytes], start: int, name: str, tenant: str, seen: set[str], accesses: access.Accesses, report: Report
) -> None:
    for index, leaf in enumerate(leaves, start):
        found = entry.scan(leaf)
        if found is None or found["action"] in access.RELEVANT:
            try:
                whole = entry.load(leaf)
            except ValueError as error:
                report.wrong(f"{name} entry {index}", f"not an entry: {error}")
                continue
            found = {"id": whole.id, "action": whole.action, "outcome": whole.outcome, "tenant": whole.tenant}
            if problem := accesses.see(whole):
                report.wrong(f"{name} entry {index}", problem)
        if found["tenant"] != tenant:
            report.wrong(f"{name} entry {index}", "an entry of another tenant")
        if found["id"] in seen:
            report.wrong(f"{name} entry {index}", "the same entry as one before it")
        seen.add(found["id"])
        report.actions[found["action"]] += 1


def _values(archive: export.Archive, index: int, leaves: list[bytes], start: int, report: Report) -> None:
    name = export.values_name(index)
    if name not in archive.names:
        return
    try:
        rows = [orjson.loads(line) for line in archive.read(name).splitlines()]
        for row in rows:
            place = int(row.pop("index")) - start
            if not 0 <= place < len(leaves):
                raise ValueError("values of no entry in this bundle")
            opening, leaf = entry.Opening.load(orjson.dumps(row)), entry.load(leaves[place])
            if not opening.opens(leaf):
                report.wrong(f"{name} entry {start + place}", "not the values that the entry commits to")
            elif report.people.setdefault(leaf.who, opening.actor) != opening.actor:
                report.wrong(f"{name} entry {start + place}", "one pseudonym for two actors")
            elif report.people.setdefault(f" {opening.actor}", leaf.who) != leaf.who:
                report.wrong(f"{name} entry {start + place}", "two pseudonyms for one actor")
            report.values += 1
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        report.wrong(name, f"not values of entries: {error}")


def _compare(
    archive: export.Archive, level: int, index: int, hashes: list[bytes], names: set[str], report: Report
) -> None:
    name = tiles.tile_path(level, index, len(hashes))
    names.add(name)
    try:
        tile = archive.read(name)
    except ValueError as error:
        report.wrong(name, str(error))
        return
    if tile == b"".join(hashes):
        return
    wrong = [i for i, h in enumerate(hashes) if tile[i * merkle.HASH :][: merkle.HASH] != h]
    place = index * tiles.WIDTH + (wrong[0] if wrong else len(hashes))
    what = f"entry {place}" if level == 0 else f"hash {place} of level {level}"
    report.wrong(name, f"{what} does not have the hash in the tile")


def _roots(
    above: merkle.Growing,
    hashes: list[bytes],
    start: int,
    sizes: list[int],
    notes: dict[int, tuple[bytes, str]],
    report: Report,
) -> None:
    """Compare the root of each signed size that ends in this tile."""
    part = merkle.Growing()
    for size in sizes:
        for leaf in hashes[part.size : size - start]:
            part.append(leaf)
        root = _joined(above, part.root())
        if part.size < size - start or root != notes[size][0]:
            report.wrong(notes[size][1], f"its root is not that of the first {size} entries")


def _joined(above: merkle.Growing, last: bytes) -> bytes:
    for node in above.peaks():
        last = merkle.node_hash(node, last)
    return last
