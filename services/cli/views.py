"""How people see answers; scripts ask for JSON. Also the few answers whose JSON is not the message as it is."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows under upper-case headings, aligned by display width."""
    cells = [[c.upper().replace("_", " ") for c in columns]]
    cells += [[cell(row.get(c)) for c in columns] for row in rows]
    widths = [max(_width(line[i]) for line in cells) for i in range(len(columns))]
    lines = (
        "  ".join(text + " " * (width - _width(text)) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
    return "\n".join(lines) + "\n"


def cell(value: Any) -> str:
    """One value on one line, safe for a terminal: what senders wrote may hold control characters."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case {"address": address, "tls": tls}:
            return printable(f"{address} ({tls or 'opportunistic'})")
        case dict():
            return " ".join(f"{k}={cell(v)}" for k, v in value.items()) or "-"
        case list():
            return ", ".join(map(cell, value)) or "-"
        case str() if len(value) > 19 and value[4] == value[7] == "-" and value.endswith("Z"):
            return printable(value[:19] + "Z")
    return printable(str(value))


def printable(text: str) -> str:
    """Text without control and direction characters, which could rewrite what a terminal shows."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cf") else c for c in text)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text if not unicodedata.combining(c))


def fields(document: Mapping[str, Any]) -> str:
    """One thing, a line for each of its fields."""
    width = max(map(len, document), default=0) + 2
    return "".join(f"{name.replace('_', ' '):<{width}}{cell(value)}\n" for name, value in document.items())


def policy_document(document: Mapping[str, Any]) -> str:
    """The text as it was applied, and nothing else, so that it can be edited and applied again."""
    text = str(document["document"])
    return text if text.endswith("\n") else text + "\n"


def applied(document: Mapping[str, Any]) -> str:
    """Which revision is in force now."""
    revision = document["revision"]
    what = "is in force" if document["changed"] else "already says this"
    warnings = "".join(f"warning: {place(w)}{printable(w['reason'])}\n" for w in document.get("warnings", []))
    return f"revision {revision['number']} {what} ({revision['rules']} rules)\n{warnings}"


def mistakes(document: Mapping[str, Any]) -> str:
    """A line for each mistake of a document."""
    if not document["items"]:
        return f"{document['rules']} rules, no mistakes\n"
    return "".join(f"{place(item)}{printable(item['reason'])}\n" for item in document["items"])


def findings(document: Mapping[str, Any]) -> str:
    """A line for each doubt about a document."""
    if not document["items"]:
        return "nothing doubtful\n"
    return "".join(f"{place(item)}{printable(item['reason'])}\n" for item in document["items"])


def detected(document: Mapping[str, Any]) -> str:
    """What was found, as a table, and what of a file was not read."""
    if document["items"]:
        out = table(document["items"], ("detector", "masked", "confidence", "offset", "part"))
    else:
        out = "nothing found\n"
    if document["truncated"]:
        out += "there is more: name a detector\n"
    if document["not_read"]:
        out += f"parts were not read: {cell(document['not_read'])}\n"
    return out


def replayed(document: Mapping[str, Any]) -> str:
    """Whether a decision follows from its reasons, and what does not."""
    out = "".join(f"{printable(d)}\n" for d in document["differences"]) or "the same decision\n"
    if document["not_replayed"]:
        out += f"not judged again, their reasons are not all in it: {cell(document['not_replayed'])}\n"
    return out


def shadow_report(document: Mapping[str, Any]) -> str:
    """A line for each day, rule, group and outcome, with how many mails the rule was asked about that day."""
    asked: dict[tuple[str, str, str], int] = {}
    for row in document["asked"]:
        asked[row["day"], row["rule"], row["direction"]] = row["mails"]
    rows = [{**r, "of": asked.get((r["day"], r["rule"], r["direction"]), 0)} for r in document["items"]]
    return table(rows, ("day", "rule", "mode", "direction", "group", "outcome", "mails", "of"))


def place(mistake: Mapping[str, Any]) -> str:
    """Where a mistake is, for the beginning of a line."""
    where = f"line {mistake['line']}: " if mistake["line"] else ""
    return where + (f"{printable(mistake['path'])}: " if mistake["path"] else "")


def decision(document: Mapping[str, Any]) -> str:
    """What was decided for each recipient, and by which rules."""
    found = document.get("decision") or {}
    recipients = [r["address"] for r in found.get("recipients", [])]
    rows = [
        {
            "recipient": recipients[position] if position < len(recipients) else position,
            "decision": leg["disposition"],
            "rule": leg["rule"],
            "text": leg["text"],
            "also": [t["kind"] for t in leg["transforms"]],
        }
        for leg in found.get("legs", [])
        for position in leg["recipients"]
    ]
    out = table(rows, ("recipient", "decision", "rule", "text", "also"))
    out += f"\nby {found.get('origin') or 'nobody'}, policy revision {found.get('revision', 0)}"
    coverage = found.get("coverage")
    if coverage and not coverage["complete"]:
        out += "; not inspected: " + cell([f"{n['part']} ({n['reason']})" for n in coverage["not_inspected"]])
    if coverage and coverage.get("ambiguities"):
        out += "; read in every way: " + cell(coverage["ambiguities"])
    out += "\n"
    for why in found.get("why", []):
        matched = "matched" if why["matched"] else "no match"
        out += f"\n{printable(why['rule'])} ({why['mode']}): {printable(why['error']) or matched}\n"
        for predicate in why["predicates"]:
            spans = f"  {cell(predicate['spans'])}" if predicate["spans"] else ""
            out += f"  {'true ' if predicate['truth'] else 'false'} {printable(predicate['path'])}{spans}\n"
    return out


def mail_status(document: Mapping[str, Any]) -> str:
    """Fates, then events."""
    head = f"{document['mail_id']}  {document['direction']}  {'final' if document['final'] else 'on its way'}\n\n"
    fates = table(document["recipients"], ("address", "state", "code", "attempts", "detail"))
    return head + fates + "\n" + table(document["events"], ("at", "event", "recipients", "code", "service", "detail"))


def queue(document: Mapping[str, Any]) -> str:
    """A line for each destination of each leg."""
    rows = [
        {**mail, **destination, "mail_id": f"{mail['mail_id']}.{mail['leg']}"}
        for mail in document["items"]
        for destination in mail["destinations"]
    ]
    columns = (
        "mail_id",
        "tenant",
        "domain",
        "recipients",
        "attempts",
        "next_attempt_at",
        "last_code",
        "last_reply_code",
    )
    return table(rows, columns)


def coverage(document: Mapping[str, Any]) -> str:
    """A line for each tenant, and what is behind."""
    rows = [{**t, "not found": t["reasons"]} for t in document["tenants"]]
    rows.append({"tenant": "all", "in_scope": document["in_scope"], "indexed": document["indexed"], "not found": None})
    out = table(rows, ("tenant", "in_scope", "indexed", "not found"))
    return out + (f"\n{document['segments_behind']} segments behind\n" if document["segments_behind"] else "")


def system_status(document: Mapping[str, Any]) -> str:
    """The nodes, and whether they agree."""
    settled = "every node runs it" if document["settled"] else "some nodes are behind"
    head = f"version {document['version']}, directory revision {document['revision']}: {settled}\n\n"
    return head + table(document["nodes"], ("service", "name", "revision", "seen_at", "addresses"))


def changes(document: Mapping[str, Any]) -> str:
    """One line for each change, as a difference."""
    lines = [printable(line) for line in document["items"]] or [
        "nothing changes" if document["dry_run"] else "nothing changed"
    ]
    return "\n".join([*lines, *(f"warning: {printable(w)}" for w in document["warnings"])]) + "\n"


def with_secret(answer: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A new API key with its token, which is said this once."""
    return {**(answer["api_key"] or {}), "secret": answer["secret"]}


def as_json(document: Any) -> str:
    """One JSON document, UTF-8."""
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def as_yaml(document: Any) -> str:
    """One YAML document."""
    import yaml

    return str(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
