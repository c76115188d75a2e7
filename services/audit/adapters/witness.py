"""One witness over HTTP, as C2SP tlog-witness has it."""

from __future__ import annotations

import base64

import aiohttp

from services.common.errors import Rejected, Unavailable
from services.common.tlog import note
from services.common.tlog.policy import Witness

_MOST = 64 * 1024


class HttpWitness:
    """See `AddCheckpoint`; one session for all witnesses."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __call__(
        self, witness: Witness, old: int, proof: tuple[bytes, ...], signed: bytes
    ) -> tuple[note.Signature, ...] | int:
        """See `AddCheckpoint`."""
        lines = [f"old {old}", *(base64.b64encode(h).decode() for h in proof)]
        body = ("\n".join(lines) + "\n\n").encode() + signed
        try:
            async with self._session.post(f"{witness.url}/add-checkpoint", data=body, allow_redirects=False) as answer:
                data = await answer.content.read(_MOST)
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable("a witness does not answer") from error
        try:
            if status == 409:
                return int(data)
            if status == 200:
                return note.signatures(data)
        except ValueError as error:
            raise Rejected("a witness's answer is none") from error
        if status >= 500:
            raise Unavailable("a witness fails", status=status)
        raise Rejected("a witness refused", status=status)
