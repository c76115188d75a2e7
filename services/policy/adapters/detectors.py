"""DetectorService over gRPC: which detectors there are, and what they find in what the caller brings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from letterlock.policy.v1 import detector_pb2, detector_pb2_grpc

from services.common import rpc
from services.common.errors import InvalidInput
from services.common.extraction import Extractor, File
from services.common.ids import TenantId
from services.policy.adapters.own import OwnStore
from services.policy.core.detectors import Hit
from services.policy.core.detectors.scanner import Scanner
from services.policy.core.detectors.table import DETECTORS, FAMILIES
from services.policy.core.own import Asked, OwnDetector
from services.policy.core.text import normalise
from services.policy.pool import FairPool

_PAGE = 100
_MAX_TEXT, _MAX_FILE = 1024 * 1024, 3 * 1024 * 1024
_MAX_HITS = 1000
_SECONDS = 20.0
_OWN = "own"
_FAMILY = {d.name: family for family, detectors in FAMILIES.items() for d in detectors}


@dataclass(frozen=True, slots=True)
class _Read:
    part: str
    text: str


class DetectorServicer(detector_pb2_grpc.DetectorServiceServicer):
    """Serves the detectors. The interceptor has checked the permission before it comes here."""

    def __init__(self, extract: Extractor, pool: FairPool, own: OwnStore | None = None) -> None:
        self._extract, self._pool, self._own = extract, pool, own

    async def ListDetectors(
        self, request: detector_pb2.ListDetectorsRequest, context: Any
    ) -> detector_pb2.ListDetectorsResponse:
        """By name, in pages; a page's token is the name that it begins behind."""
        tenant = rpc.tenant(request.tenant)
        mine = await self._own.abouts(tenant) if self._own is not None else {}
        names = [n for n in sorted({*DETECTORS, *mine}) if n > request.page_token]
        size = min(request.page_size if request.page_size > 0 else _PAGE, _PAGE)
        return detector_pb2.ListDetectorsResponse(
            detectors=[
                _detector(n) if n in DETECTORS else detector_pb2.Detector(name=n, about=mine[n], family=_OWN)
                for n in names[:size]
            ],
            next_page_token=names[size - 1] if len(names) > size else "",
        )

    async def TestDetectors(
        self, request: detector_pb2.TestDetectorsRequest, context: Any
    ) -> detector_pb2.TestDetectorsResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        if bool(request.text) == bool(request.file):
            raise InvalidInput("bring a text or a file", field="text")
        if len(request.text) > _MAX_TEXT or len(request.file) > _MAX_FILE:
            raise InvalidInput(f"a text has at most {_MAX_TEXT} characters, a file {_MAX_FILE} bytes", field="text")
        wanted = set(request.detectors)
        unknown = wanted - set(DETECTORS)
        mine = await self._mine(tenant, unknown) if unknown or not wanted else {}
        for name in unknown - set(mine):
            raise InvalidInput(f"no detector {name[:64]!r}", field="detectors")
        texts, not_read = [_Read("", request.text)], list[str]()
        if request.file:
            texts, not_read = await self._read(tenant, request.file_name, request.file)
        hits = await self._pool.run(tenant, lambda: _scan(wanted, mine, texts))
        return detector_pb2.TestDetectorsResponse(
            hits=[_hit(*h) for h in hits[:_MAX_HITS]], truncated=len(hits) > _MAX_HITS, not_read=not_read
        )

    async def _mine(self, tenant: TenantId, names: Collection[str]) -> Mapping[str, OwnDetector]:
        """The tenant's own of these names, or all of them where none are given."""
        if self._own is None:
            return {}
        asked = frozenset(names or await self._own.abouts(tenant))
        return (await self._own.load(tenant, Asked(asked, frozenset(), frozenset()))).detectors

    async def _read(self, tenant: TenantId, name: str, content: bytes) -> tuple[list[_Read], list[str]]:
        file = File("1", name[:255], "application/octet-stream", content)
        pieces = await self._extract(tenant, [file], timeout=_SECONDS)
        found = [_Read(p.part.partition("/")[2], text) for p in pieces for text in (p.name, p.text) if text]
        return found, sorted({str(p.problem) for p in pieces if p.problem is not None})


def _scan(wanted: Collection[str], mine: Mapping[str, OwnDetector], texts: list[_Read]) -> list[tuple[str, str, Hit]]:
    """(detector, part, find), by part and offset; nothing wanted is everything."""
    built_in = [DETECTORS[n] for n in sorted(DETECTORS) if not wanted or n in wanted]
    scanner = Scanner(built_in, list(mine.values()))
    found = scanner.scan([normalise(t.text) for t in texts])
    placed = [(number, hit.start, name, hit) for name, hits in found.items() for number, hit in hits]
    return [(name, texts[number].part, hit) for number, _, name, hit in sorted(placed, key=lambda p: p[:3])]


def _detector(name: str) -> detector_pb2.Detector:
    known = DETECTORS[name]
    return detector_pb2.Detector(
        name=name,
        about=known.about,
        family=_FAMILY[name],
        checksum=known.checksum,
        source=known.source,
        languages=list(known.context),
    )


def _hit(name: str, part: str, hit: Hit) -> detector_pb2.DetectorHit:
    return detector_pb2.DetectorHit(
        detector=name,
        masked=hit.masked,
        confidence=hit.confidence,
        offset=hit.start,
        length=hit.end - hit.start,
        part=part,
    )
