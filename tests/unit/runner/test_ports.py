"""Ports for listeners that are started later."""

from __future__ import annotations

import socket
from pathlib import Path

from services.common.processes import free_port


def test_a_free_port_is_given_once_and_is_none_of_outgoing_connections() -> None:
    """Between being given and being listened on, nothing else may take it."""
    given = [free_port() for _ in range(50)]
    assert len(set(given)) == 50
    outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(1024 < port < outgoing for port in given)


def test_a_port_somebody_listens_on_is_passed_over() -> None:
    """The next one is given."""
    taken = free_port() + 1
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", taken))
        listener.listen()
        assert free_port() != taken
