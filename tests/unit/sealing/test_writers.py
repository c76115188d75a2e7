"""Seeds and the trust file: made once, private, and read strictly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.common.components import TrustConfig
from services.common.config import Settings
from services.common.errors import Corrupt, InvalidInput, Unavailable
from services.common.sealing import writers
from services.common.sealing.writers import ensure_dev, load_signer, load_writers, read_writers, signed

SERVICES = ["ingress", "policy", "delivery", "encryption", "archive", "quarantine", "admin", "audit"]


def at(folder: Path) -> Settings:
    """Settings whose trust folder is `folder`."""
    return Settings({"trust": TrustConfig(directory=folder)}, folder)


def test_everybody_can_check_what_one_signs(tmp_path: Path) -> None:
    """Each within its kinds only."""
    ensure_dev(tmp_path, SERVICES)
    trusted = load_writers(at(tmp_path))
    for service, kinds in writers.GRANTS.items():
        signer = load_signer(at(tmp_path), service)
        for kind in ("mail", "system", "decision", "public_key"):
            data = signed(kind, b"x")
            if kind in kinds:
                trusted.verify(service, signer.sign(data), data, kind=kind)
            else:
                with pytest.raises(Corrupt):
                    trusted.verify(service, signer.sign(data), data, kind=kind)


def test_second_start_keeps_every_key(tmp_path: Path) -> None:
    """Nothing that was sealed or signed becomes unreadable."""
    ensure_dev(tmp_path, SERVICES)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    ensure_dev(tmp_path, SERVICES)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    assert set(before) == {*(f"{s}.seed" for s in writers.GRANTS), writers.MASTER, writers.TRUST}


def test_secrets_are_private_and_checked(tmp_path: Path) -> None:
    """Mode 0600 when made; a seed that others may read is refused."""
    ensure_dev(tmp_path, SERVICES)
    for path in tmp_path.iterdir():
        if path.name != writers.TRUST:
            assert path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "ingress.seed").chmod(0o644)
    with pytest.raises(InvalidInput):
        load_signer(at(tmp_path), "ingress")


def test_missing_files_are_unavailable(tmp_path: Path) -> None:
    """They may be mounted a moment later."""
    with pytest.raises(Unavailable):
        load_signer(at(tmp_path), "ingress")
    with pytest.raises(Unavailable):
        load_writers(at(tmp_path))


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"null",
        b'{"x": 1}',
        b'{"x": {"public": "AAAA", "kinds": []}}',
        b'{"x": {"public": "?", "kinds": []}}',
    ],
)
def test_malformed_trust_file_is_refused(tmp_path: Path, document: bytes) -> None:
    """Whole or not at all."""
    path = tmp_path / writers.TRUST
    path.write_bytes(document)
    with pytest.raises(InvalidInput):
        read_writers(path)


def test_unknown_writer_is_a_stranger(tmp_path: Path) -> None:
    """A name that is not in the file."""
    ensure_dev(tmp_path, ["ingress"])
    assert set(json.loads((tmp_path / writers.TRUST).read_text())) == {"ingress"}
    signer = load_signer(at(tmp_path), "ingress")
    with pytest.raises(Corrupt):
        load_writers(at(tmp_path)).verify("policy", signer.sign(b"x"), b"x", kind="decision")
