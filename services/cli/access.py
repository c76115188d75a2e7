"""Cases, requests, approvals and grants; consent and enrolment. What is signed is signed here, after it was shown."""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.cli import views
from services.cli.command import Argument, Command, Usage
from services.cli.plain import plain
from services.cli.request import fill
from services.cli.result import Result
from services.cli.session import Failure, Session
from services.cli.views import printable
from services.common import grants

_SERVICE = "access.AccessService"
_ENROLMENT = b"letterlock-enrolment-v1\0"
_SIGNED = ("purpose", "query", "scope", "capabilities", "seconds", "requester", "case_id")


def _id(name: str, path: str, help: str) -> Argument:
    return Argument(name, path, help, required=True, metavar=name.upper())


_REASON = Argument("--reason", "reason", "why, kept in the audit log")
_CASE = Argument("--case", "case_id", "only those of this case")
_PERSON = _id("address", "address", "the person's address")
_KEY = Argument("--key-file", "", "the file with the private key that person enrol made", metavar="FILE")

ROWS = (
    Command("case", "create", "open a case: the reason that requests for access name", f"{_SERVICE}.CreateCase",
            (Argument("--name", "name", "what it is about", required=True),), columns=("case_id",), request_id=True),
    Command("case", "list", "all of them", f"{_SERVICE}.ListCases", items="cases",
            columns=("case_id", "name", "state", "created_at", "created_by", "closed_at")),
    Command("case", "close", "no new requests; its grants end", f"{_SERVICE}.CloseCase",
            (_id("case", "case_id", "the case"),
             Argument("--revision", "revision", "only if this is still the newest revision", "number")),
            one="case", columns=("case_id", "name", "state", "closed_at", "closed_by")),
    Command("access", "request", "ask to be allowed exactly one question", f"{_SERVICE}.RequestAccess",
            (Argument("--case", "case_id", "the case it is for", required=True),
             Argument("--query", "query", "the question; nothing else can be asked under the grant", required=True),
             Argument("--purpose", "purpose", "why", required=True),
             Argument("--capability", "capabilities",
                      "counts, headers, search, open, export; by default search,open", "list"),
             Argument("--for", "duration", "how long the grant lasts, such as 2h (the default)", metavar="DURATION"),
             Argument("--domain", "scope.domains", "only mail with this domain; may be repeated", "list"),
             Argument("--person", "scope.people", "only mail of this address; may be repeated", "list"),
             Argument("--exclude", "scope.excluded", "never mail of this address; may be repeated", "list"),
             Argument("--after", "scope.after", "only mail received since, such as 2026-10-01 (UTC)"),
             Argument("--before", "scope.before", "only mail received before"),
             Argument("--one-time", "one_time", "the grant is worth one search", "flag")),
            columns=("request_id", "state", "approvals", "needed"), request_id=True),
    Command("access", "list", "requests; an auditor's own only", f"{_SERVICE}.ListRequests",
            (_CASE, Argument("--state", "state", "only these", "choice",
                             ("pending", "granted", "refused", "withdrawn", "dead"))),
            items="requests",
            columns=("request_id", "state", "case_id", "requester", "purpose", "query", "capabilities", "needed",
                     "grant_id", "created_at")),
    Command("access", "show", "one request, as approvals sign it", f"{_SERVICE}.GetRequest",
            (_id("request", "request_id", "the request"),), one="request", view=views.fields),
    Command("access", "approve", "say yes to a request; with a key file, signed here after it is shown",
            f"{_SERVICE}.Approve", (_id("request", "request_id", "the request"), _KEY), run="approve",
            columns=("request_id", "grant_id", "state")),
    Command("access", "refuse", "say no to a request, for good", f"{_SERVICE}.Refuse",
            (_id("request", "request_id", "the request"), _REASON), columns=("request_id", "state")),
    Command("access", "revoke", "end a grant, or take back a request", f"{_SERVICE}.Revoke",
            (_id("id", "id", "the grant or the request"), _REASON), columns=("request_id", "grant_id", "state")),
    Command("access", "grants", "what is or was allowed; an auditor's own only", f"{_SERVICE}.ListGrants", (_CASE,),
            items="grants",
            columns=("grant_id", "state", "case_id", "requester", "query", "capabilities", "granted_at", "expires_at")),
    Command("access", "grant", "one grant", f"{_SERVICE}.GetGrant", (_id("grant", "grant_id", "the grant"),),
            one="grant", view=views.fields),
    Command("access", "sod-report", "every combination of roles, what it reaches, and who holds what",
            f"{_SERVICE}.SodReport", run="sod_report"),
    Command("person", "consent", "let a person's waiting roles take effect; prints their one-time code",
            f"{_SERVICE}.ConsentPerson", (_PERSON,), columns=("address", "roles", "code", "code_expires_at")),
    Command("person", "code", "a one-time code to register a signing key", f"{_SERVICE}.IssueCode", (_PERSON,),
            columns=("address", "code", "code_expires_at")),
    Command("person", "enrol", "register what you make for yourself: a signing key, a token", f"{_SERVICE}.Enrol",
            (_PERSON, Argument("--code-file", "", "a file with your one-time code (-: stdin)", "secret"),
             Argument("--code", "", "your one-time code; others of this machine can read it here"),
             Argument("--key-file", "", "where to write a new private signing key", metavar="FILE"),
             Argument("--token-file", "", "where to write a new token (an API key)", metavar="FILE")),
            run="enrol", columns=("address", "signing_key", "token")),
)  # fmt: skip


def approve(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """Approve; with a key file the request's bytes are read, shown and signed here, whatever the server calls them."""
    request: Any = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    if values.get("key_file"):
        key = _read_key(Path(values["key_file"]))
        asking: Any = session.request(f"{_SERVICE}.GetRequest")
        asking.request_id, asking.tenant = values["request"], session.where.tenant
        answer: Any = session.call(f"{_SERVICE}.GetRequest", asking)
        document = orjson.loads(answer.canonical)
        if document.get("id") != values["request"]:
            raise Failure("the server answered with another request: nothing was signed", 1)
        digest = hashlib.sha256(answer.canonical).hexdigest()
        for name in _SIGNED:
            sys.stderr.write(f"{name + ':':14}{printable(str(document[name]))}\n")
        sys.stderr.write(f"{'sha256:':14}{digest}\n")
        request.hash, request.signature = digest, key.sign(grants.signed_bytes(digest))
    return Result(plain(session.call(command.rpc, request)))


def enrol(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """Make a key, a token or both, write them to new files, and register what may be known of them."""
    if not values.get("key_file") and not values.get("token_file"):
        raise Usage("--key-file, --token-file or both: what do you want to register?")
    code = str(values.get("code") or "")
    if values.get("code_file"):
        from services.cli.request import contents

        code = contents(values["code_file"]).decode("utf-8", "replace").split("\n")[0].strip()
    if not code:
        raise Usage("give your one-time code: --code-file FILE (-: stdin)")
    request: Any = session.request(command.rpc)
    request.address, request.code = values["address"].strip().lower(), code
    written: list[Path] = []
    try:
        if values.get("key_file"):
            key = Ed25519PrivateKey.generate()
            written.append(_write_new(Path(values["key_file"]), _pem(key)))
            request.signing_key = key.public_key().public_bytes_raw()
            request.proof = key.sign(_ENROLMENT + request.address.encode() + b"\0" + code.encode())
        if values.get("token_file"):
            token = "ll_" + secrets.token_urlsafe(32)
            written.append(_write_new(Path(values["token_file"]), f"{token}\n".encode()))
            request.token_sha256 = hashlib.sha256(token.encode()).hexdigest()
        return Result(plain(session.call(command.rpc, request)))
    except Failure as failure:
        # Whoever did not answer may have registered it: then the files are needed. A refusal leaves nothing behind.
        if failure.status != 5:
            for path in written:
                path.unlink(missing_ok=True)
        raise


def sod_report(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """The report; failed when the separation of duties is broken."""
    request = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    document = plain(session.call(command.rpc, request))
    error = "" if document["sound"] else "the separation of duties is broken: see violations"
    return Result(document, _sod_view, 0 if document["sound"] else 1, error)


def _sod_view(document: Mapping[str, Any]) -> str:
    may = [c for c in document["combinations"] if not c["forbidden"]]
    never = [c for c in document["combinations"] if c["forbidden"]]
    out = views.table(may, ("roles", "reaches", "rpcs", "violations"))
    out += f"\n{len(never)} other combinations may be held by nobody (-o json shows each with its reason)\n\n"
    return out + views.table(document["people"], ("address", "roles", "pending", "signing_key"))


def _write_new(path: Path, data: bytes) -> Path:
    """A new file that only its owner reads; raises `Usage` when there is one."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise Usage(f"{path}: there is a file already; it is not overwritten") from None
    except OSError as error:
        raise Usage(f"{path}: {error.strerror}") from None
    return path


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise Usage(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise Usage(f"{path}: not a signing key as person enrol writes it")
    return key
