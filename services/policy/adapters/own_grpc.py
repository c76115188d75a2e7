"""OwnDetectorService and DataSetService over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from letterlock.policy.v1 import dataset_pb2 as pb
from letterlock.policy.v1 import dataset_pb2_grpc, owndetector_pb2_grpc
from letterlock.policy.v1 import owndetector_pb2 as own_pb

from services.common import rpc
from services.common.audit_entries import AuditEntry, AuditTrail
from services.common.control import Document
from services.common.errors import Conflict, InvalidInput, NotFound, Rejected
from services.common.extraction import Extractor, File
from services.common.ids import MailId, TenantId
from services.policy.adapters.own import DETECTOR, EXACT, MAX_PARTS, PRINTS, SET, OwnStore, detector_of
from services.policy.adapters.revisions import Revisions
from services.policy.core.own import Asked, asked
from services.policy.core.own.patterns import PatternDetector, check
from services.policy.core.own.prints import BadPrints, Prints
from services.policy.core.text import normalise
from services.policy.pool import FairPool

_PAGE = 100
_MAX_FILE = 3 * 1024 * 1024
_MAX_PART = 10_000
_MAX_ABOUT = 500
_SECONDS = 20.0
_TRIES = 5
_KINDS = {pb.SET_KIND_EXACT_DATA: EXACT, pb.SET_KIND_FINGERPRINT: PRINTS}
_NUMBERS = {name: number for number, name in _KINDS.items()}


class _Shared:
    """What both services need. The interceptor has checked the permission before a call comes here."""

    def __init__(
        self, own: OwnStore, revisions: Revisions, pool: FairPool, extract: Extractor, trail: AuditTrail | None = None
    ) -> None:
        self._own, self._revisions, self._pool, self._extract, self._trail = own, revisions, pool, extract, trail

    def _tell(self, document: Document, what: str, verb: str) -> None:
        """Tell the audit log; what it holds is the tenant's to read in the store."""
        if self._trail is not None:
            detail = {what: document.key, "change": verb, "revision": document.revision}
            self._trail.record(AuditEntry(document.tenant, "policy.applied", _actor(), detail))

    def _spare(self, tenant: TenantId, name: str, of: Callable[[Asked], frozenset[str]]) -> None:
        """Nothing is taken from under the policy in force."""
        if name in of(asked(self._revisions.current(tenant).policy)):
            words = "a rule of the policy in force asks for it: apply one that does not, first"
            raise Rejected("in use by the policy", public=words)


class OwnDetectorServicer(_Shared, owndetector_pb2_grpc.OwnDetectorServiceServicer):
    """Serves a tenant's own detectors."""

    async def CreateOwnDetector(
        self, request: own_pb.CreateOwnDetectorRequest, context: Any
    ) -> own_pb.CreateOwnDetectorResponse:
        """See the proto."""
        document, said = await self._put(rpc.tenant(request.tenant), request.detector, expected=0)
        self._tell(document, DETECTOR, "created")
        return own_pb.CreateOwnDetectorResponse(detector=_detector(document, said))

    async def GetOwnDetector(
        self, request: own_pb.GetOwnDetectorRequest, context: Any
    ) -> own_pb.GetOwnDetectorResponse:
        """See the proto."""
        return own_pb.GetOwnDetectorResponse(
            detector=_detector(*await self._own.detector(rpc.tenant(request.tenant), request.name))
        )

    async def UpdateOwnDetector(
        self, request: own_pb.UpdateOwnDetectorRequest, context: Any
    ) -> own_pb.UpdateOwnDetectorResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        document, said = await self._own.detector(tenant, request.detector.name)
        if request.revision and request.revision != document.revision:
            raise Conflict("another revision is the newest")
        if said != _definition(request.detector):
            document, said = await self._put(tenant, request.detector, expected=document.revision)
            self._tell(document, DETECTOR, "updated")
        return own_pb.UpdateOwnDetectorResponse(detector=_detector(document, said))

    async def DeleteOwnDetector(
        self, request: own_pb.DeleteOwnDetectorRequest, context: Any
    ) -> own_pb.DeleteOwnDetectorResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        document, _ = await self._own.detector(tenant, request.name)
        self._spare(tenant, request.name, lambda a: a.detectors)
        await self._own.delete(tenant, DETECTOR, request.name, expected=request.revision, actor=_actor())
        self._tell(document, DETECTOR, "deleted")
        return own_pb.DeleteOwnDetectorResponse()

    async def _put(
        self, tenant: TenantId, detector: own_pb.OwnDetector, *, expected: int
    ) -> tuple[Document, dict[str, Any]]:
        definition = _definition(detector)
        await self._pool.run(tenant, lambda: _checked(detector.name, definition))
        document = await self._own.put_detector(tenant, detector.name, definition, expected=expected, actor=_actor())
        return document, definition


class DataSetServicer(_Shared, dataset_pb2_grpc.DataSetServiceServicer):
    """Serves a tenant's sets of rows and fingerprints."""

    async def CreateSet(self, request: pb.CreateSetRequest, context: Any) -> pb.CreateSetResponse:
        """See the proto."""
        kind = _KINDS.get(request.kind)
        if kind is None:
            raise InvalidInput("a set is of exact_data or fingerprint", field="kind")
        document = await self._own.create_set(rpc.tenant(request.tenant), request.name, kind, actor=_actor())
        self._tell(document, SET, "created")
        return pb.CreateSetResponse(set=_set(document))

    async def ListSets(self, request: pb.ListSetsRequest, context: Any) -> pb.ListSetsResponse:
        """See the proto."""
        sets = [s for s in await self._own.sets(rpc.tenant(request.tenant)) if s.key > request.page_token]
        size = min(request.page_size if request.page_size > 0 else _PAGE, _PAGE)
        return pb.ListSetsResponse(
            sets=[_set(s) for s in sets[:size]], next_page_token=sets[size - 1].key if len(sets) > size else ""
        )

    async def GetSet(self, request: pb.GetSetRequest, context: Any) -> pb.GetSetResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        document = await self._own.set(tenant, request.name)
        if (document.value or {}).get("type") != PRINTS:
            return pb.GetSetResponse(set=_set(document))
        document, prints = await self._own.documents(tenant, request.name)
        return pb.GetSetResponse(set=_set(document, sorted(prints.documents)))

    async def DeleteSet(self, request: pb.DeleteSetRequest, context: Any) -> pb.DeleteSetResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        document = await self._own.set(tenant, request.name)
        self._spare(tenant, request.name, lambda a: a.rows | a.prints)
        await self._own.delete(tenant, SET, request.name, expected=0, actor=_actor())
        self._tell(document, SET, "deleted")
        return pb.DeleteSetResponse()

    async def UploadRows(self, request: pb.UploadRowsRequest, context: Any) -> pb.UploadRowsResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        if not 0 <= request.part < MAX_PARTS:
            raise InvalidInput(f"an upload has at most {MAX_PARTS} parts", field="part")
        if not 1 <= len(request.rows) <= _MAX_PART:
            raise InvalidInput(f"a part has 1 to {_MAX_PART:,} rows", field="rows")
        number = await self._own.put_part(
            tenant,
            request.set,
            MailId.parse(request.upload),
            request.part,
            [normalise(c).strip() for c in request.columns],
            [list(r.cells) for r in request.rows],
            line=max(request.line, 1),
            run=lambda work: self._pool.run(tenant, work),
        )
        return pb.UploadRowsResponse(rows=number)

    async def CommitRows(self, request: pb.CommitRowsRequest, context: Any) -> pb.CommitRowsResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        if not 1 <= request.parts <= MAX_PARTS:
            raise InvalidInput(f"an upload has 1 to {MAX_PARTS} parts", field="parts")
        document = await self._own.commit(
            tenant,
            request.set,
            MailId.parse(request.upload),
            request.parts,
            actor=_actor(),
            run=lambda work: self._pool.run(tenant, work),
        )
        self._tell(document, SET, "rows replaced")
        return pb.CommitRowsResponse(set=_set(document))

    async def AddDocument(self, request: pb.AddDocumentRequest, context: Any) -> pb.AddDocumentResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        name = request.name.strip()
        if not 1 <= len(name) <= 200 or not 1 <= len(request.file) <= _MAX_FILE:
            raise InvalidInput(f"bring a name and a file of at most {_MAX_FILE} bytes", field="file")
        await self._own.set(tenant, request.set, PRINTS)
        file = File("1", name, "application/octet-stream", request.file)
        pieces = await self._extract(tenant, [file], timeout=_SECONDS)
        texts = [p.text for p in pieces if p.text]
        if not texts:
            problem = next((p.problem for p in pieces if p.problem is not None), "unsupported")
            raise InvalidInput(f"no text can be read of the file: {problem}", field="file")

        def registered(prints: Prints) -> Prints:
            return prints.with_document(name, [normalise(t) for t in texts])

        document = await self._change(tenant, request.set, registered)
        self._tell(document, SET, "document added")
        return pb.AddDocumentResponse(set=_set(document))

    async def RemoveDocument(self, request: pb.RemoveDocumentRequest, context: Any) -> pb.RemoveDocumentResponse:
        """See the proto."""
        document = await self._change(rpc.tenant(request.tenant), request.set, lambda p: p.without(request.name))
        self._tell(document, SET, "document removed")
        return pb.RemoveDocumentResponse(set=_set(document))

    async def _change(self, tenant: TenantId, name: str, change: Callable[[Prints], Prints]) -> Document:
        for tried in range(_TRIES):
            document, prints = await self._own.documents(tenant, name)
            try:
                changed = await self._pool.run(tenant, lambda p=prints: change(p))  # type: ignore[misc]
                return await self._own.put_documents(document, changed, actor=_actor())
            except BadPrints as error:
                raise InvalidInput(str(error), field="file") from error
            except KeyError:
                raise NotFound("no such document", public="no such document") from None
            except Conflict:
                # Somebody registered another document meanwhile.
                if tried == _TRIES - 1:
                    raise
                await asyncio.sleep(0.05 * (tried + 1))
        raise AssertionError("unreachable")


def _definition(detector: own_pb.OwnDetector) -> dict[str, Any]:
    about = detector.about[:_MAX_ABOUT]
    if detector.WhichOneof("rule") == "words":
        words = [[w.word, w.weight or 1] for w in detector.words.words]
        return {"about": about, "words": words, "threshold": detector.words.threshold or 1}
    if detector.WhichOneof("rule") == "patterns":
        rule = detector.patterns
        return {
            "about": about,
            "patterns": list(rule.patterns),
            "ignore_case": rule.ignore_case,
            "context": list(rule.context),
            "threshold": rule.threshold or 1,
        }
    raise InvalidInput("a detector has patterns or words", field="detector")


def _checked(name: str, definition: Mapping[str, Any]) -> None:
    """Raises `InvalidInput` for what cannot be looked for."""
    if not 1 <= definition["threshold"] <= 1_000_000:
        raise InvalidInput("a threshold is from 1 to 1,000,000", field="detector.threshold")
    try:
        made = detector_of(name, definition)
        if isinstance(made, PatternDetector):
            check(made)
    except ValueError as error:
        raise InvalidInput(str(error), field="detector") from error


def _detector(document: Document, said: Mapping[str, Any]) -> own_pb.OwnDetector:
    detector = own_pb.OwnDetector(
        name=document.key, about=said.get("about", ""), revision=document.revision, actor=document.actor
    )
    detector.updated_at.FromDatetime(document.at)
    if "words" in said:
        for word, weight in said["words"]:
            detector.words.words.add(word=word, weight=weight)
        detector.words.threshold = said["threshold"]
    else:
        detector.patterns.patterns.extend(said["patterns"])
        detector.patterns.ignore_case = said["ignore_case"]
        detector.patterns.context.extend(said["context"])
        detector.patterns.threshold = said["threshold"]
    return detector


def _set(document: Document, names: Sequence[str] = ()) -> pb.DataSet:
    value = document.value or {}
    found = pb.DataSet(
        name=document.key,
        kind=_NUMBERS.get(str(value.get("type")), pb.SET_KIND_UNSPECIFIED),
        columns=value.get("columns", ()),
        rows=value.get("rows", 0),
        document_count=value.get("documents", 0),
        documents=names,
        revision=document.revision,
        actor=document.actor,
    )
    found.updated_at.FromDatetime(document.at)
    return found


def _actor() -> str:
    caller = rpc.principal()
    return caller.address or caller.service
