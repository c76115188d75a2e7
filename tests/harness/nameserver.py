"""A name server in this process: answers from a table, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


@dataclass
class Nameserver(asyncio.DatagramProtocol):
    """`records` maps (name, type) to values in zone-file form; a name that is in no key does not exist."""

    records: dict[tuple[str, str], list[str]]
    asked: set[tuple[str, str]] = field(default_factory=set)
    address: str = ""

    async def start(self) -> Nameserver:
        """Listen on a free port of 127.0.0.1."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        host, port = self._transport.get_extra_info("sockname")
        self.address = f"{host}:{port}"
        return self

    def stop(self) -> None:
        """Stop listening."""
        self._transport.close()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """See asyncio."""
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.add((name, kind))
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA | dns.flags.RA
        values = self.records.get((name, kind), [])
        if values:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *values))
        elif not any(name == known for known, _ in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(answer.to_wire(), address)
