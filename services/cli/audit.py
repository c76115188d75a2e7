"""The audit log on the command line: read, exported, and verified off line."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from services.cli import views
from services.cli.command import Command, Usage
from services.cli.plain import plain
from services.cli.request import fill
from services.cli.result import Result
from services.cli.session import Session
from services.common.tlog import checkpoint, entry, export, merkle, note, policy, proof, verify

_PAGE = 1000
_PROOF = b"c2sp.org/tlog-proof@"


def list_entries(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """All entries, page after page; `detail` as what it is."""
    request: Any = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    request.page_size = _PAGE
    items: list[dict[str, Any]] = []
    while True:
        answer = plain(session.call(command.rpc, request))
        for item in answer["items"]:
            items.append({**item, "detail": orjson.loads(item["detail"]) if item["detail"] else {}})
        if not answer["next_page_token"]:
            return Result({"items": items, "next": None})
        request.page_token = answer["next_page_token"]


def export_log(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """The whole log into a new file, or to stdout."""
    request: Any = session.request(command.rpc)
    fill(request, command, {k: v for k, v in values.items() if k != "file"}, tenant=session.where.tenant)
    chunks = (answer.chunk for answer in session.stream(command.rpc, request))  # type: ignore[attr-defined]
    name = values.get("file") or "-"
    if name == "-":
        if sys.stdout.isatty():
            raise Usage("name a file: the export is no text")
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        return Result(None, lambda _: "")
    path, size = Path(name), 0
    scratch = path.with_name(f".{path.name}.part")
    try:
        with scratch.open("wb") as file:
            for chunk in chunks:
                size += file.write(chunk)
        scratch.replace(path)
    except OSError as error:
        raise Usage(f"{name}: {error.strerror}") from None
    finally:
        scratch.unlink(missing_ok=True)
    return Result({"file": name, "bytes": size}, views.fields)


def get_proof(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """One entry's tlog-proof, as the file that `audit verify` takes."""
    request = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    answer: Any = session.call(command.rpc, request)
    return Result({"index": int(values["index"]), "proof": answer.proof.decode()}, lambda d: str(d["proof"]))


def verify_file(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """An export or a proof, off line; failed when anything is wrong."""
    path = Path(values["file"])
    rules = _policy(values.get("policy"))
    key = _key(values.get("key"), rules)
    try:
        with path.open("rb") as file:
            head = file.read(len(_PROOF))
        if head == _PROOF:
            return _proof(path.read_bytes(), key, rules)
        with export.Archive(path) as archive:
            trusted = key is not None
            key = key or _own_key(archive)
            report = verify.verify(archive, key, rules, _known(values.get("known")))
    except OSError as error:
        raise Usage(f"{path}: {error.strerror}") from None
    except ValueError as error:
        return _broken({"file": str(path)}, [{"where": str(path), "what": str(error)}])
    document = {
        "origin": report.origin,
        "size": report.size,
        "root": report.root.hex(),
        "checkpoints": report.checkpoints,
        "values": report.values,
        "actions": dict(sorted(report.actions.items())),
        "witnessed_size": report.witnessed,
        "key": key.text,
        "key_from": "given" if trusted else "the export itself: compare it with the one you were given",
        "verdict": report.verdict,
    }
    if report.findings:
        return _broken(document, [{"where": f.where, "what": f.what} for f in report.findings])
    return Result({**document, "findings": []}, _view)


def _proof(data: bytes, key: note.Key | None, rules: policy.Policy | None) -> Result:
    if key is None:
        raise Usage("a proof needs the log's key: --key, or a policy with a log")
    try:
        found = proof.parse(data)
        head = proof.check(found.entry, found.index, found.path, found.signed, key)
        leaf = entry.load(found.entry)
        witnessed = rules is not None and rules.satisfied(note.parse(found.signed))
    except ValueError as error:
        return _broken({"verdict": "broken"}, [{"where": "proof", "what": str(error)}])
    if rules is not None and rules.quorum and not witnessed:
        return _broken({"verdict": "broken"}, [{"where": "proof", "what": "no quorum of witnesses cosigned"}])
    document = {
        "origin": head.origin,
        "index": found.index,
        "size": head.size,
        "time": leaf.time,
        "action": leaf.action,
        "outcome": leaf.outcome,
        "leaf": merkle.leaf_hash(found.entry).hex(),
        "verdict": "witnessed" if witnessed else "self-consistent only",
    }
    return Result({**document, "findings": []}, _view)


def _broken(document: dict[str, Any], findings: list[dict[str, str]]) -> Result:
    first = f"{findings[0]['where']}: {findings[0]['what']}"
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return Result({**document, "verdict": "broken", "findings": findings}, _view, 1, views.printable(first + more))


def _view(document: Mapping[str, Any]) -> str:
    text = views.fields({k: v for k, v in document.items() if k != "findings"})
    if document["findings"]:
        text += "\n" + views.table(document["findings"], ("where", "what"))
    return text


def _policy(name: str | None) -> policy.Policy | None:
    if not name:
        return None
    try:
        return policy.parse(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise Usage(f"{name}: {error.strerror}") from None
    except ValueError as error:
        raise Usage(f"{name}: {error}") from None


def _key(given: str | None, rules: policy.Policy | None) -> note.Key | None:
    if not given:
        return rules.logs[0] if rules is not None and len(rules.logs) == 1 else None
    try:
        text = given if "+" in given else Path(given).read_text(encoding="utf-8")
        return note.Key.parse(text)
    except OSError as error:
        raise Usage(f"--key: {given}: {error.strerror}") from None
    except ValueError as error:
        raise Usage(f"--key: {error}") from None


def _own_key(archive: export.Archive) -> note.Key:
    document = orjson.loads(archive.read("manifest.json"))
    if not isinstance(document, dict):
        raise ValueError("the manifest is none")
    return note.Key.parse(str(document.get("key", "")))


def _known(name: str | None) -> note.Note | None:
    if not name:
        return None
    try:
        data = Path(name).read_bytes()
        signed = note.parse(proof.parse(data).signed if data.startswith(_PROOF) else data)
        checkpoint.parse(signed.text)
    except OSError as error:
        raise Usage(f"--known: {name}: {error.strerror}") from None
    except ValueError as error:
        raise Usage(f"--known: {name}: {error}") from None
    return signed
