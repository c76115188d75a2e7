#!/usr/bin/env python3
"""Verify an exported Letterlock audit log. One file, Python 3.9 or newer and `cryptography`; read it, then run it:

    python3 letterlock_verify.py EXPORT.tar --key VKEY [--witness VKEY … --quorum N] [--known CHECKPOINT]

The export is a tar file (docs/audit-log.md). This program shares no code with Letterlock. It checks, in this order:
  1. `checkpoint` (C2SP signed note) is signed by the log's key and of the size the manifest says;
  2. every entry bundle has its entries; every leaf is canonical JSON with the fields of an entry;
  3. every hash tile holds the hashes of what is below it (RFC 6962: leaf SHA-256(00 ‖ entry), node SHA-256(01 ‖ l ‖ r))
  4. every checkpoint in `history/` is signed and has the root of exactly its first `size` entries, so that all of
     them are consistent with each other and nothing was ever changed or removed;
  5. opened values are those that the leaves commit to: SHA-256(salt ‖ value); each actor has one pseudonym;
  6. each reveal (archive.searched, .opened, .exported) comes under a grant: asked for by the same person, approved
     before by enough others, not expired, not revoked, for the approved request and with the right capability;
  7. how many witnesses (C2SP tlog-cosignature v1) cosigned; without any, whoever runs the log could show you another
     log than others see: then the answer is "self-consistent only".
Exit status: 0 all is well, 1 something is wrong, 2 wrong usage.
"""

# mypy: ignore-errors
# ruff: noqa: SIM115, UP031
# (Plain on purpose: whoever has to trust it reads it, on whatever Python they have.)

import argparse
import base64
import hashlib
import json
import re
import sys
import tarfile

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "letterlock.audit.export/1"
FIELDS = {
    "v", "id", "tenant", "time", "service", "who", "actor", "action", "outcome", "case_id", "grant_id", "mail_ids",
    "detail", "facts", "late",
}  # fmt: skip
REVEALS = {
    "archive.searched": {"counts", "headers", "search"},
    "archive.opened": {"open"},
    "archive.exported": {"export"},
}
WRONG = []  # (where, what)
PEOPLE = {}  # actor by pseudonym, and pseudonym by actor (after a space)


def wrong(where, what):
    WRONG.append((where, what))


def sha(data):
    return hashlib.sha256(data).digest()


def tree_root(hashes):
    """The RFC 6962 root over leaf hashes, or over the hashes of complete subtrees of one size."""
    if not hashes:
        return sha(b"")
    while len(hashes) > 1:
        pairs = [sha(b"\1" + hashes[i] + hashes[i + 1]) for i in range(0, len(hashes) - 1, 2)]
        hashes = pairs + ([hashes[-1]] if len(hashes) % 2 else [])
    return hashes[0]


class Key:
    """A C2SP verifier key: name+hex id+base64(type ‖ public key)."""

    def __init__(self, text):
        self.name, key_id, material = text.strip().split("+", 2)
        raw = base64.b64decode(material)
        self.kind, self.public = raw[0], raw[1:]
        self.id = sha(self.name.encode() + b"\n" + raw)[:4]
        if self.id.hex() != key_id or self.kind not in (1, 4) or len(self.public) != 32:
            raise ValueError("not an Ed25519 verifier key")

    def signed(self, note):
        """Whether this key signed the note; a signature of its that does not verify is an error."""
        text, lines = split(note)
        found = False
        for line in lines:
            dash, name, encoded = line.split(" ")
            data = base64.b64decode(encoded, validate=True)
            if dash != "\u2014" or (name, data[:4]) != (self.name, self.id):
                continue
            message, signature = text.encode(), data[4:]
            if self.kind == 4:  # a cosignature is over the time and the text
                message = b"cosignature/v1\ntime %d\n" % int.from_bytes(signature[:8], "big") + message
                signature = signature[8:]
            try:
                Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
            except InvalidSignature:
                raise ValueError("a signature of %s does not verify" % self.name) from None
            found = True
        return found


def split(note):
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise ValueError("not a signed note")
    return text + "\n", signatures[:-1].split("\n")


def checkpoint(note, key):
    """Size and root of a checkpoint that `key` signed."""
    text, _ = split(note)
    origin, size, root, end = text.split("\n")
    if not key.signed(note):
        raise ValueError("not signed by the log's key")
    if origin != key.name or end or str(int(size)) != size or len(base64.b64decode(root, validate=True)) != 32:
        raise ValueError("not a checkpoint of this log")
    return int(size), base64.b64decode(root)


def path(level, index, width):
    digits = "%03d" % (index % 1000)
    while index >= 1000:
        index //= 1000
        digits = "x%03d/%s" % (index % 1000, digits)
    return "tile/%s/%s%s" % (level, digits, "" if width == 256 else ".p/%d" % width)


def canonical(value):
    """RFC 8785 for what entries hold: text, integers, booleans, lists and objects with ASCII names."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def entry(data, tenant):
    """A leaf as a dict; raises ValueError with what is wrong with it."""
    found = json.loads(data)
    if not isinstance(found, dict) or set(found) != FIELDS or found["v"] != 1 or canonical(found) != data:
        raise ValueError("not an entry, or not canonical JSON")
    if found["tenant"] != tenant:
        raise ValueError("an entry of another tenant")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", found["time"]):
        raise ValueError("not a time")
    if not all(re.fullmatch("[0-9a-f]{64}", found[name]) for name in ("actor", "detail")):
        raise ValueError("not a commitment")
    if not all(re.fullmatch("[0-9a-f]{32}", found[name]) for name in ("id", "who")):
        raise ValueError("not a pseudonym")
    if found["outcome"] not in ("done", "denied") or not isinstance(found["facts"], dict):
        raise ValueError("not an outcome, or not facts")
    return found


class Accesses:
    """Reveals against grants, entry by entry."""

    def __init__(self):
        self.requests, self.grants = {}, {}

    def see(self, e):
        facts, action, grant = e["facts"], e["action"], e["grant_id"]
        name = facts.get("request_id", "")
        if e["outcome"] != "done":
            return ""
        if action == "access.requested":
            if not name or not facts.get("request_hash") or name in self.requests:
                return "a request without id or hash, or made twice"
            self.requests[name] = dict(facts, who=e["who"], approvers=set(), ended=False)
            if grant:
                self.grants[grant] = name
        elif action == "access.approved":
            request = self.requests.get(name)
            if request is None or facts.get("request_hash") != request["request_hash"]:
                return "an approval of no request, or of another text"
            if e["who"] == request["who"] or e["who"] in request["approvers"]:
                return "a request approved by its requester, or twice by one person"
            request["approvers"].add(e["who"])
            request["expires"] = facts.get("expires") or request.get("expires", "")
            if grant and self.grants.setdefault(grant, name) != name:
                return "a grant of another request"
        elif action in ("access.refused", "access.revoked"):
            for ended in {name, self.grants.get(grant, "")} & set(self.requests):
                self.requests[ended]["ended"] = True
        elif action in REVEALS:
            request = self.requests.get(self.grants.get(grant, ""))
            if request is None:
                return "%s under grant %s, which nobody approved before it" % (action, grant or "(none)")
            if len(request["approvers"]) < request.get("approvals", 1):
                return "%s under grant %s without enough approvals" % (action, grant)
            if request["who"] != e["who"]:
                return "%s under grant %s by another person than its requester" % (action, grant)
            if request["ended"] or (request.get("expires") and e["time"] > request["expires"]):
                return "%s under grant %s, which was revoked or had expired" % (action, grant)
            if facts.get("request_hash", request["request_hash"]) != request["request_hash"]:
                return "%s under grant %s for another request than was approved" % (action, grant)
            if request.get("capabilities") and not REVEALS[action] & set(request["capabilities"]):
                return "%s under grant %s, which does not allow it" % (action, grant)
        return ""


def unbundle(data):
    """Entries, each after its length in 16 bits."""
    found, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if end > len(data):
            raise ValueError("the bundle is cut")
        found.append(data[at + 2 : end])
        at = end
    return found


class Prefix:
    """The root of the first n leaves, for any n up to what was added."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def add(self, node):
        size, self.size = self.size, self.size + 1
        while size & 1:
            node, size = sha(b"\1" + self.peaks.pop() + node), size >> 1
        self.peaks.append(node)

    def root(self):
        if not self.peaks:
            return sha(b"")
        node = self.peaks[-1]
        for left in self.peaks[-2::-1]:
            node = sha(b"\1" + left + node)
        return node


def members(name):
    """Every file of the tar by its name."""
    files = {}
    with tarfile.open(name, "r:") as tar:
        for info in tar:
            if not info.isreg() or info.name in files:
                raise ValueError("%s is no file, or there twice" % info.name)
            data = tar.extractfile(info).read()
            if len(data) != info.size:
                raise ValueError("%s is cut" % info.name)
            files[info.name] = data
    return files


def take(files, name):
    if name not in files:
        wrong(name, "missing")
        return b""
    return files.pop(name)


def verify(files, key, witnesses, quorum, known):
    """Fill WRONG; returns the size and the largest size with a quorum."""
    manifest = json.loads(take(files, "manifest.json"))
    head = take(files, "checkpoint").decode()
    size, root = checkpoint(head, key)
    if (manifest.get("format"), manifest.get("origin"), manifest.get("size")) != (FORMAT, key.name, size):
        wrong("manifest.json", "format, origin or size is not that of the checkpoint")
    signed, witnessed, last = {}, 0, 0
    for name in sorted(n for n in files if n.startswith("history/")):
        for number, line in enumerate(files.pop(name).splitlines(), 1):
            where = "%s line %d" % (name, number)
            try:
                note = json.loads(line)
                n, r = checkpoint(note, key)
                if quorum and sum(w.signed(note) for w in witnesses) >= quorum:
                    witnessed = max(witnessed, n)
            except (ValueError, AttributeError) as error:
                wrong(where, str(error))
                continue
            if n <= last or n > size:
                wrong(where, "a checkpoint of %d entries after one of %d, in a log of %d" % (n, last, size))
            signed[n], last = (r, where), n
    if size and signed.get(size, (b"",))[0] != root:
        wrong("checkpoint", "is not the last of the history")
    signed[size] = root, "checkpoint"
    if known:
        n, r = checkpoint(known, key)
        if n > size:
            wrong("checkpoint", "has %d entries, but %d are known: rolled back" % (size, n))
        elif signed.setdefault(n, (r, "known checkpoint"))[0] != r:
            wrong("known checkpoint", "another root for %d entries: forked" % n)
    tenant, prefix, accesses, ids, level0 = key.name.rpartition("/")[2], Prefix(), Accesses(), set(), []
    for index in range((size + 255) // 256):
        width = min(256, size - 256 * index)
        name = path("entries", index, width)
        try:
            leaves = unbundle(take(files, name))
        except ValueError as error:
            wrong(name, str(error))
            leaves = []
        if len(leaves) != width:
            wrong(name, "has %d entries where %d belong" % (len(leaves), width))
        parsed = {}
        for number, leaf in enumerate(leaves, 256 * index):
            where = "%s entry %d" % (name, number)
            prefix.add(sha(b"\0" + leaf))
            if number + 1 in signed and prefix.root() != signed[number + 1][0]:
                wrong(signed[number + 1][1], "its root is not that of the first %d entries" % (number + 1))
            try:
                parsed[number] = entry(leaf, tenant)
            except (ValueError, TypeError, KeyError) as error:
                wrong(where, str(error))
                continue
            problem = accesses.see(parsed[number])
            if problem or parsed[number]["id"] in ids:
                wrong(where, problem or "the same entry as one before it")
            ids.add(parsed[number]["id"])
        level0 += [sha(b"\0" + leaf) for leaf in leaves]
        opened(files, index, parsed)
    if prefix.size != size:
        wrong("checkpoint", "signs %d entries, there are %d" % (size, prefix.size))
    level, row = 0, level0
    while row:
        for index in range((len(row) + 255) // 256):
            part = row[256 * index : 256 * index + 256]
            name = path(level, index, len(part))
            if take(files, name) != b"".join(part):
                wrong(name, "does not hold the hashes of what is below it")
        level, row = level + 1, [tree_root(row[i : i + 256]) for i in range(0, len(row) // 256 * 256, 256)]
    for name in files:
        wrong(name, "does not belong to an export of this size")
    return size, witnessed


def opened(files, index, parsed):
    """The values behind commitments, where the export has them."""
    name = "values/%09d.jsonl" % index
    for line in files.pop(name, b"").splitlines():
        try:
            row = json.loads(line)
            leaf = parsed[row["index"]]
            actor = hashlib.sha256(bytes.fromhex(row["actor_salt"]) + row["actor"].encode()).hexdigest()
            detail = hashlib.sha256(bytes.fromhex(row["detail_salt"]) + canonical(row["detail"])).hexdigest()
            if (actor, detail) != (leaf["actor"], leaf["detail"]):
                wrong("%s entry %d" % (name, row["index"]), "not the values that the entry commits to")
            elif PEOPLE.setdefault(leaf["who"], row["actor"]) != row["actor"] or (
                PEOPLE.setdefault(" " + row["actor"], leaf["who"]) != leaf["who"]
            ):
                wrong("%s entry %d" % (name, row["index"]), "a pseudonym of two actors, or two of one")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            wrong(name, "not values of entries: %s" % error)


def main(words=None):
    parser = argparse.ArgumentParser(description="Verify an exported Letterlock audit log.")
    parser.add_argument("export")
    parser.add_argument("--key", required=True, help="the log's verifier key")
    parser.add_argument("--witness", action="append", default=[], help="a witness's verifier key; repeatable")
    parser.add_argument("--quorum", type=int, default=0, help="so many witnesses must have cosigned")
    parser.add_argument("--known", help="a file with a checkpoint kept from before")
    options = parser.parse_args(words)
    del WRONG[:]
    PEOPLE.clear()
    size = witnessed = 0
    try:
        known = open(options.known, encoding="utf-8").read() if options.known else ""
        witnesses = [Key(text) for text in options.witness]
        quorum = options.quorum or len(witnesses)
        size, witnessed = verify(members(options.export), Key(options.key), witnesses, quorum, known)
        if quorum and not witnessed:
            wrong("checkpoint", "no checkpoint has the cosignatures that were asked for")
    except (ValueError, OSError, tarfile.TarError, AttributeError) as error:
        wrong(options.export, str(error))
    for where, what in WRONG[:100]:
        print("WRONG %s: %s" % (where, what))
    if WRONG:
        print("broken: %d findings" % len(WRONG))
        return 1
    seen = "witnessed up to %d" % witnessed if witnessed else "self-consistent only"
    print("ok: %d entries, %s" % (size, seen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
