"""Every command, one row each. A new RPC is a new row."""

from __future__ import annotations

from dataclasses import replace

from services.cli import access, archive, holds, keep, own, passwords, views
from services.cli.command import Argument, Command


def _word(name: str, path: str, help: str) -> Argument:
    return Argument(name, path, help, required=True, metavar=name.upper())


_REVISION = Argument("--revision", "revision", "only if this is still the newest revision", "number")
_TLS = ("none", "opportunistic", "required")
_DIRECTIONS = ("inbound", "outbound", "internal")
_ROLES = "user, reviewer, auditor, approver, tenant_admin or data_protection_officer"
_NOTE = Argument("--note", "note", "why, kept with the record")
_MAIL = _word("mail_id", "mail_id", "the mail's id, as the 250 said it")


def _noun(
    noun: str,
    plural: str,
    rpc: str,
    key: Argument,
    fields: tuple[Argument, ...],
    columns: tuple[str, ...],
    *,
    field: str = "",
    create: tuple[Argument, ...] | None = None,
    update: tuple[Argument, ...] = (),
) -> tuple[Command, ...]:
    """The five verbs of a kind of directory document.

    `plural` is the field of the list's answer, `field` that of one (by default the noun), `rpc` singular/plural in the
    RPCs' names. `create` replaces the key among a create's arguments, `update` is what only an update takes.
    """
    field = field or noun
    single, many = rpc.split("/")
    service = "directory.DirectoryService"
    own = tuple(replace(a, path=f"{field}.{a.path}") for a in fields)
    made = (replace(key, path=f"{field}.{key.path}"),) if create is None else create
    secret = noun == "apikey"
    return (
        Command(noun, "list", "all of them", f"{service}.List{many}", items=plural, columns=columns),
        Command(noun, "get", "one of them", f"{service}.Get{single}", (key,), one=field, columns=columns),
        Command(
            noun, "create", "make one", f"{service}.Create{single}", (*made, *own), one=field, columns=columns,
            request_id=True, shape=views.with_secret if secret else None, view=views.fields if secret else None,
        ),
        Command(
            noun, "update", "change what is given of one", f"{service}.Update{single}", (key, *own, *update, _REVISION),
            one=field, columns=columns, update=field,
        ),
        Command(
            noun, "delete", "remove one", f"{service}.Delete{single}", (key, _REVISION),
            shape=lambda answer, values: {"deleted": values[key.key]}, view=lambda document: "deleted\n",
        ),
    )  # fmt: skip


def _name(help: str) -> Argument:
    return _word("name", "name", help)


DIRECTORY = (
    *_noun(
        "tenant", "tenants", "Tenant/Tenants", _name("the tenant's name"),
        (
            Argument("--next-hop", "next_hop.address", "HOST:PORT where mail for its own domains goes"),
            Argument("--next-hop-tls", "next_hop.tls", "TLS on that way", "choice", _TLS),
            Argument("--smarthost", "smarthost.address", "HOST:PORT where its mail to the world goes"),
            Argument("--smarthost-tls", "smarthost.tls", "TLS on that way", "choice", _TLS),
            Argument("--keep-refused", "keep_refused", "keep mail that policy refuses", "switch"),
            Argument("--bare-newlines", "bare_newlines", "bare CR, LF and NUL", "choice", ("refuse", "normalise")),
            Argument("--language", "language", "what its people are told things in", "choice", ("en", "ja", "zh-Hant")),
            Argument("--retention", "retention", "how long mail is kept, such as 7y"),
            Argument("--approvals", "approvals", "approvals that reading archived mail needs", "number"),
            Argument("--suspended", "suspended", "take no mail for it", "switch"),
            Argument("--limit", "limits", "NAME=NUMBER, may be repeated", "pair"),
        ),
        ("name", "id", "next_hop", "smarthost", "retention", "suspended", "policy_revision", "revision"),
        update=(Argument("--new-name", "tenant.name", "another name; nothing moves"),),
    ),
    *_noun(
        "domain", "domains", "Domain/Domains", _name("the domain"),
        (Argument("--recipients", "recipients", "which addresses exist", "choice", ("any", "listed", "call_ahead")),),
        ("name", "recipients", "revision"),
    ),
    *_noun(
        "connector", "connectors", "Connector/Connectors", _name("the connector's name"),
        (
            Argument("--network", "networks", "CIDR it comes from; may be repeated", "list"),
            Argument("--tls-client", "tls_client", "name in its TLS client certificate; may be repeated", "list"),
            Argument("--sender", "senders", "glob of its MAIL FROM; may be repeated", "list"),
            Argument("--username", "username", "how it logs in"),
            Argument("--password-file", "password", "a file with its password (-: stdin)", "secret"),
        ),
        ("name", "networks", "tls_client", "senders", "username", "revision"),
    ),
    *_noun(
        "person", "people", "Person/People", _word("address", "address", "the person's address"),
        (
            Argument("--role", "roles", _ROLES, "list"),
            Argument("--alias", "aliases", "another address of theirs; may be repeated", "list"),
            Argument("--password-file", "password", "a file with their password (-: stdin)", "secret"),
            Argument("--disabled", "disabled", "may not log in", "switch"),
        ),
        ("address", "roles", "pending_roles", "aliases", "has_password", "disabled", "revision"),
    ),
    *_noun(
        "group", "groups", "Group/Groups", _name("the group's name"),
        (
            Argument("--member", "members", "an address; may be repeated", "list"),
            Argument("--address", "address", "members may send under this address"),
        ),
        ("name", "members", "address", "revision"),
    ),
    *_noun(
        "apikey", "api_keys", "ApiKey/ApiKeys", _word("id", "id", "the key's id"),
        (
            Argument("--name", "name", "what it is for"),
            Argument("--owner", "owner", "address of the person it speaks for, or an operator's name"),
            Argument("--operator", "operator", "installation-wide", "switch"),
        ),
        ("id", "name", "owner", "operator", "limited", "created_at", "revision"),
        field="api_key",
        create=(Argument("--secret-file", "secret", "a file with the token; without it one is made", "secret"),),
    ),
)  # fmt: skip

_FILE = Argument("--file", "document", "the document (-: stdin)", "content", short="-f", required=True, metavar="FILE")
_DRAFT = Argument("--file", "document", "a draft instead of the policy in force", "content", short="-f", metavar="FILE")

POLICY = (
    Command(
        "policy", "get", "the document of a revision, by default the newest", "policy.PolicyService.Get",
        (Argument("--revision", "revision", "which one", "number"),), view=views.policy_document,
    ),
    Command(
        "policy", "apply", "check a document and put it in force", "policy.PolicyService.Apply",
        (
            _FILE, _NOTE,
            Argument("--expected-revision", "expected_revision", "only if this is still the newest", "number"),
        ),
        view=views.applied,
    ),
    Command(
        "policy", "check", "say what is wrong with a document", "policy.PolicyService.Check", (_FILE,), run="check",
    ),
    Command(
        "policy", "lint", "say what is doubtful in a document, by default the one in force",
        "policy.PolicyService.Lint", (replace(_DRAFT, help="a draft instead of the newest revision"),), run="lint",
    ),
    Command(
        "policy", "shadow-report", "what shadow rules and canaries' rest would have done: counts only",
        "policy.PolicyService.ShadowReport",
        (Argument("--days", "days", "today and the days before it, by default 7", "number"),),
        shape=lambda answer, values: {"items": answer["counts"], "asked": answer["asked"]}, view=views.shadow_report,
    ),
    Command(
        "policy", "replay-why", "decide once more from a decision's own reasons, as `mail why -o json` prints them",
        "policy.PolicyService.ReplayWhy",
        (Argument("file", "decision", "the certificate (-: stdin)", required=True, metavar="FILE"),), run="replay_why",
    ),
    Command(
        "policy", "history", "every revision, newest first", "policy.PolicyService.History", items="revisions",
        columns=("number", "applied_at", "actor", "rules", "note"),
    ),
    Command(
        "policy", "rollback", "put an old revision in force again", "policy.PolicyService.Rollback",
        (Argument("revision", "revision", "its number", "number", required=True, metavar="REVISION"), _NOTE),
        one="revision", columns=("number", "applied_at", "actor", "rules", "note"),
    ),
    Command(
        "policy", "trace", "what would be decided for a mail, and why; nothing is kept or sent",
        "policy.PolicyService.Trace",
        (
            Argument("--eml", "mail", "the mail as it would arrive (-: stdin)", "bytes", required=True, metavar="FILE"),
            _DRAFT,
            Argument("--from", "sender", "envelope sender; by default the From header's", metavar="ADDRESS"),
            Argument("--to", "recipients", "envelope recipient, may be repeated; by default To and Cc", "list"),
            Argument("--direction", "direction", "by default from the addresses", "choice", _DIRECTIONS),
            Argument("--tls", "tls", "as if it came by TLS", "flag"),
            Argument("--at", "at", "at this time, such as 2026-11-24T09:00:00Z"),
        ),
        run="trace", view=views.decision,
    ),
)  # fmt: skip

DETECTORS = (
    Command("detector", "list", "what a rule may ask for by name", "policy.DetectorService.ListDetectors",
            items="detectors", columns=("name", "about", "family", "checksum")),
    Command("detector", "test", "what the detectors find in a text or a file; values are masked, nothing is kept",
            "policy.DetectorService.TestDetectors",
            (Argument("--text", "text", "the text", metavar="TEXT"),
             Argument("--file", "file", "a file, read as an attachment is (-: stdin)", "bytes", short="-f",
                      metavar="FILE"),
             Argument("--detector", "detectors", "only this one; may be repeated", "list")),
            run="detector_test", view=views.detected),
)  # fmt: skip

MAIL = (
    Command("mail", "status", "each recipient's fate, and the events that led to it",
            "archive.ArchiveService.MailStatus", (_MAIL,), view=views.mail_status),
    Command("mail", "why", "the decision, and the rules that made it", "archive.ArchiveService.MailWhy",
            (_MAIL,), view=views.decision),
    Command("queue", "list", "mail that waits for its next hop, by domain", "delivery.QueueService.ListQueue",
            (Argument("--domain", "domain", "only mail to this domain"),), items="items", view=views.queue),
    Command("queue", "retry", "try again now: one mail, or all to a domain", "delivery.QueueService.Retry",
            (Argument("mail_id", "mail_id", "the mail", metavar="MAILID"),
             Argument("--domain", "domain", "all that waits for this domain")), columns=("legs",)),
    Command("queue", "fail", "give up now; the sender is told", "delivery.QueueService.Fail",
            (_MAIL, _NOTE), columns=("legs",)),
    Command("archive", "coverage", "how many stored mails a search can find, and why not the others",
            "archive.ArchiveService.Coverage", view=views.coverage),
    Command("archive", "reindex", "replay the store's index segments into the index, with progress",
            "archive.ArchiveService.Reindex", run="reindex", columns=("segments", "mails", "done")),
)  # fmt: skip

AUDIT = (
    Command("audit", "list", "who did what, all of it, in order", "audit.AuditService.List",
            (Argument("--action", "action", "only this action, such as archive.opened"),), run="audit_list",
            items="items",
            columns=("index", "time", "actor", "action", "outcome", "case_id", "grant_id", "mail_ids", "detail")),
    Command("audit", "export", "the whole log as a tar file, for `audit verify` on any machine",
            "audit.AuditService.Export",
            (Argument("file", "", "where to write it (-: stdout)", metavar="FILE.tar"),
             Argument("--without-values", "without_values", "leave out names, addresses and queries", "flag")),
            run="audit_export"),
    Command("audit", "proof", "one entry's proof, as a file for `audit verify`", "audit.AuditService.GetProof",
            (Argument("index", "index", "the entry's index", "number", required=True, metavar="INDEX"),),
            run="audit_proof"),
    Command("audit", "verify", "check an export or a proof, off line", "",
            (Argument("file", "", "what audit export or audit proof wrote", required=True, metavar="FILE.tar"),
             Argument("--key", "", "the log's verifier key, or a file with it (default: the policy's)"),
             Argument("--policy", "", "a tlog-policy file: the log, its witnesses and their quorum", metavar="FILE"),
             Argument("--known", "", "a checkpoint or proof kept from before, which the log must extend",
                      metavar="FILE")),
            run="audit_verify"),
    Command("audit", "witness", "the log's key, its end, and how far witnesses have seen it",
            "audit.AuditService.Status",
            columns=("origin", "size", "key", "witnessed_size", "unwitnessed_seconds", "witnesses"),
            view=views.fields),
)  # fmt: skip

SYSTEM = (
    Command("status", "", "which nodes run, and on which revision of the directory", "system.SystemService.Status",
            view=views.system_status),
    Command("health", "", "whether the installation answers", run="health", columns=("status",)),
    Command("version", "", "of this command and of the server", "system.SystemService.Version", run="version",
            columns=("version", "server")),
    Command("apply", "", "make the directory say what a world file says", "directory.DirectoryService.ApplyWorld",
            (Argument("--file", "document", "the world file", short="-f", required=True, metavar="FILE"),
             Argument("--dry-run", "dry_run", "only say what would change", "flag")),
            run="apply", view=views.changes),
)  # fmt: skip

COMMANDS = (
    *DIRECTORY, *POLICY, *DETECTORS, *own.ROWS, *MAIL, *holds.ROWS, *passwords.ROWS, *archive.ROWS, *keep.ROWS,
    *access.ROWS, *AUDIT, *SYSTEM,
)  # fmt: skip

NOUNS = {
    "tenant": "organisations that are hosted here",
    "domain": "a tenant's domains",
    "connector": "a tenant's mail systems",
    "person": "a tenant's people",
    "group": "named addresses of a tenant",
    "apikey": "tokens of people, automation and operators",
    "policy": "a tenant's rules",
    "detector": "kinds of content that rules find",
    "dataset": "rows and documents that rules recognise, kept as digests",
    "mail": "what became of a mail, and why; no content",
    "hold": "mail that waits for a person's decision",
    "deputy": "who reviews in your place",
    "notice": "the words that people are told things in",
    "password": "of sealed mail: your own, and those agreed with partners",
    "case": "reasons to look at archived mail",
    "access": "who may look at archived mail: requests, approvals, grants",
    "queue": "mail that waits for its next hop",
    "archive": "what is kept, and how much of it can be found",
    "audit": "who did what, provably",
    "status": "",
    "health": "",
    "version": "",
    "apply": "",
}
