"""What a tenant's admin learns of detectors: which there are, and what they find, with values masked."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import pytest
from letterlock.policy.v1 import detector_pb2

from services.common import rpc
from services.common.errors import InvalidInput
from services.common.ids import TenantId
from services.common.testing.extraction import InProcessExtractor
from services.policy.adapters.detectors import DetectorServicer
from services.policy.core.detectors.table import DETECTORS
from services.policy.pool import FairPool

_TENANT = TenantId.new()


@pytest.fixture
def servicer(monkeypatch: pytest.MonkeyPatch) -> Iterator[DetectorServicer]:
    """The service, for a caller of one tenant."""
    monkeypatch.setattr(rpc, "tenant", lambda _: _TENANT)
    pool = FairPool(2, waiting=10, waiting_per_tenant=10)
    yield DetectorServicer(InProcessExtractor(), pool)
    pool.close()


async def test_every_detector_is_listed_once(servicer: DetectorServicer) -> None:
    """In pages, by name."""
    names, token = [], ""
    while True:
        answer = await servicer.ListDetectors(detector_pb2.ListDetectorsRequest(page_size=30, page_token=token), None)
        names += [d.name for d in answer.detectors]
        token = answer.next_page_token
        if not token:
            break
    assert names == sorted(DETECTORS)


async def test_finds_are_masked_and_placed(servicer: DetectorServicer) -> None:
    """Detector, confidence and place; never the value."""
    request = detector_pb2.TestDetectorsRequest(text="身分證字號 A123456789", detectors=["tw_national_id"])
    (hit,) = (await servicer.TestDetectors(request, None)).hits
    assert (hit.detector, hit.confidence, hit.offset, hit.length) == ("tw_national_id", "high", 6, 10)
    assert hit.masked == "A•••••••89"


async def test_files_are_read_as_attachments_are(servicer: DetectorServicer) -> None:
    """A member of an archive is a part; what cannot be read is said."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "卡號 4111 1111 1111 1111")
    request = detector_pb2.TestDetectorsRequest(file=out.getvalue(), file_name="a.zip", detectors=["payment_card"])
    (hit,) = (await servicer.TestDetectors(request, None)).hits
    assert (hit.part, hit.offset, hit.masked) == ("1", 3, "4•••••••••••1111")
    answer = await servicer.TestDetectors(detector_pb2.TestDetectorsRequest(file=b"\x00\x01\x02\xff" * 9), None)
    assert (list(answer.hits), list(answer.not_read)) == ([], ["unsupported"])


@pytest.mark.parametrize(
    "request_",
    [
        detector_pb2.TestDetectorsRequest(),
        detector_pb2.TestDetectorsRequest(text="a", file=b"a"),
        detector_pb2.TestDetectorsRequest(text="a", detectors=["nothing_like_it"]),
        detector_pb2.TestDetectorsRequest(text="a" * 1_100_000),
    ],
    ids=["nothing", "both", "unknown detector", "too large"],
)
async def test_wrong_questions_are_refused(
    servicer: DetectorServicer, request_: detector_pb2.TestDetectorsRequest
) -> None:
    """With a reason."""
    with pytest.raises(InvalidInput):
        await servicer.TestDetectors(request_, None)
