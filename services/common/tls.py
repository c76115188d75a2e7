"""Certificates of an installation: a CA and one certificate per service, made when none are given.

A folder with `ca.pem` and `NAME.pem`/`NAME.key` is used as it is; where the CA's
key lies beside it, what is missing or near its end is made anew. A service's
certificate names the service (CN and SAN), and both ends of an internal call
check that name: who holds `archive.key` is `archive`, whatever its address.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.common.errors import InvalidInput

_CA_LIFE = timedelta(days=3650)
_LIFE = timedelta(days=397)
_RENEW_BEFORE = timedelta(days=30)
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Identity:
    """A service's certificate and key (PEM files), and the CA it believes."""

    name: str
    certificate: Path
    key: Path
    ca: Path

    def pem(self) -> tuple[bytes, bytes, bytes]:
        """Key, certificate and CA as they are now."""
        return self.key.read_bytes(), self.certificate.read_bytes(), self.ca.read_bytes()


def ensure(directory: Path, name: str, *, hosts: Sequence[str] = ()) -> Identity:
    """The identity of a service; made or renewed when it is missing or has less than 30 days.

    `hosts` are names and addresses it must be valid for besides its own name, this host and loopback. Raises
    `InvalidInput` when a given folder lacks it and has no CA key.
    """
    identity = Identity(name, directory / f"{name}.pem", directory / f"{name}.key", directory / "ca.pem")
    if _usable(identity, hosts):
        return identity
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(directory):
        if _usable(identity, hosts):
            return identity
        ca_key = directory / "ca.key"
        if not identity.ca.exists():
            _make_ca(identity.ca, ca_key)
        if not ca_key.exists():
            raise InvalidInput(f"{directory}: no valid {name}.pem and {name}.key, and no ca.key to make them")
        _issue(identity, ca_key, hosts)
    return identity


def server_context(identity: Identity) -> ssl.SSLContext:
    """A context for a TLS server that anyone may talk to (SMTP, HTTPS): TLS 1.2 and later."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(identity.certificate, identity.key)
    return context


def _usable(identity: Identity, hosts: Sequence[str]) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    if not identity.key.exists() or not identity.ca.exists():
        return False
    if not (identity.ca.parent / "ca.key").exists():
        return True  # given from outside: somebody else renews it
    valid_for = {str(n.value) for n in names}
    return certificate.not_valid_after_utc - datetime.now(UTC) > _RENEW_BEFORE and valid_for.issuperset(hosts)


def _make_ca(certificate: Path, key: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Letterlock installation CA")])
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .sign(private, hashes.SHA256())
    )
    _write(key, _pem(private), 0o600)
    _write(certificate, signed.public_bytes(serialization.Encoding.PEM), 0o644)


def _issue(identity: Identity, ca_key: Path, hosts: Sequence[str]) -> None:
    ca = x509.load_pem_x509_certificate(identity.ca.read_bytes())
    signer = serialization.load_pem_private_key(ca_key.read_bytes(), None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise InvalidInput(f"{ca_key}: expected an elliptic curve key")
    private = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    names = dict.fromkeys((identity.name, *_LOCAL, socket.gethostname(), *hosts))
    signed = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity.name)]))
        .issuer_name(ca.subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(min(now + _LIFE, ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
        .sign(signer, hashes.SHA256())
    )
    _write(identity.key, _pem(private), 0o600)
    _write(identity.certificate, signed.public_bytes(serialization.Encoding.PEM), 0o644)


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    scratch = path.with_name(path.name + ".new")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One process at a time makes certificates here; several services start together."""
    with (directory / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
