"""Secrets of machines: private keys, tokens, passwords in settings, and the keys of providers.

The examples are put together from pieces, so that they are no secrets to a scanner that reads this file.
"""

from __future__ import annotations

import base64
import binascii
import json
import re

from services.policy.core.detectors import Detector, Shape
from services.policy.core.detectors.checks import entropy
from services.policy.core.detectors.provider_keys import EXAMPLE, NAME_BYTES, PROVIDERS, RANDOM


def _assigned(value: str) -> bool:
    """Whether what is assigned is a secret: random enough for its length, of more than one class of characters."""
    secret = re.split(r"[:=]\s*[\"']?", value, maxsplit=1)[-1].strip("\"' ")
    classes = sum(bool(re.search(c, secret)) for c in ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9]"))
    return (
        len(secret) >= 8
        and classes >= 2
        and entropy(secret) >= (3.0 if len(secret) >= 16 else 2.5)
        and not EXAMPLE.search(secret)
    )


def _jwt(value: str) -> bool:
    """Whether the first part is a JOSE header (RFC 7515 §4)."""
    head = value.split(".", 1)[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, binascii.Error):
        return False
    return isinstance(header, dict) and ("alg" in header or "enc" in header)


def _has_password(value: str) -> bool:
    return not EXAMPLE.search(value)


SECRETS = (
    *PROVIDERS,
    Detector(
        name="api_key",
        about="a key of any of the cloud, code and service providers above",
        source="the providers' own documents of their key formats",
        checksum="entropy",
        shapes=tuple(shape for detector in PROVIDERS for shape in detector.shapes),
        catches=tuple(detector.catches[0] for detector in PROVIDERS),
        spares=tuple(detector.spares[0] for detector in PROVIDERS),
        keep=4,
    ),
    Detector(
        name="private_key",
        about="private key in PEM, OpenSSH, PuTTY, PGP or age form",
        source="RFC 7468; PROTOCOL.key of OpenSSH; RFC 9580; C2SP age",
        shapes=(
            Shape(
                expression="-----BEGIN (?:[A-Z0-9]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----"
                "[ \\t]*(?:\\r?\\n){1,2}[0-9A-Za-z+/]{8}",
                bare="high",
                near="high",
                compact=False,
                left="",
                right="",
                width=160,
            ),
            Shape(expression="PuTTY-User-Key-File-[23]: ", bare="high", near="high", compact=False, left="", right=""),
            Shape(expression="AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}", bare="high", near="high", compact=False),
        ),
        catches=(
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7bq0\n",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n",
            "-----BEGIN PRIVATE KEY-----\r\nMIIEvQIBADANBgkqhkiG9w0B\r\n",
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBGPq0000BCAC3\n",
            "PuTTY-User-Key-File-3: ssh-ed25519",
            "AGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"[:29] * 2,
        ),
        spares=(
            "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEF\n",
            "-----BEGIN CERTIFICATE-----\nMIIB\n",
            "a PRIVATE KEY is secret",
        ),
        keep=0,
    ),
    Detector(
        name="jwt",
        about="JSON Web Token",
        source="RFC 7519, RFC 7515",
        checksum="the header is JSON and names an algorithm",
        shapes=(
            Shape(
                expression="eyJ[0-9A-Za-z_-]{8,2000}\\.[0-9A-Za-z_-]{8,4000}\\.[0-9A-Za-z_-]{8,2000}",
                bare="high",
                near="high",
                check=_jwt,
                compact=False,
                left=NAME_BYTES,
                right="0-9A-Za-z_\\-",
                width=8100,
            ),
        ),
        catches=(
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
            "eyJzdWIiOiIxMjM0NTY3ODkwIn0."
            "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        ),
        spares=(
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
            "eyJub3QiOiJhIGp3dCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        ),
        keep=0,
    ),
    Detector(
        name="connection_string",
        about="address of a service with a user's password in it",
        source="RFC 3986 §3.2.1 (deprecated use of userinfo); drivers' connection strings",
        checksum="no placeholder",
        shapes=(
            Shape(
                expression="(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\\+srv)?|redis|rediss|amqps?|mssql|oracle|ftp|sftp|smtps?|ldaps?|nats|https?)"
                "://[^\\s:/@\"'<>]{1,80}:[^\\s:/@\"'<>]{3,120}@[0-9A-Za-z.-]{3,120}",
                bare="high",
                near="high",
                check=_has_password,
                compact=False,
                right="0-9A-Za-z.\\-",
                width=400,
            ),
            Shape(
                expression="(?:server|data source|host)=[^;\\n]{2,80};[^\\n]{0,160}(?:password|pwd)=[^;\\s]{3,80}",
                bare="high",
                near="high",
                check=_has_password,
                compact=False,
                caseless=True,
                right="!-:<-\\x7e",
                width=400,
            ),
        ),
        catches=(
            "postgres://app:Zk7pQ2@db.internal.net:5432/main",
            "Server=tcp:db1,1433;Database=x;User Id=sa;Password=Zk7pQ2vR;",
            "連線 mongodb+srv://root:q8Wz51@c0.mongodb.net/x",
        ),
        spares=(
            "postgres://db.internal/main",
            "https://example.com:443/",
            "postgres://user:${PASSWORD}@db.internal/main",
        ),
        keep=0,
    ),
    Detector(
        name="secret_assignment",
        about="a password, key or token that is written beside its name",
        source="own: names of secrets in settings and mails, with the entropy of what follows",
        checksum="entropy of at least 2.5 bits a character (3.0 from 16 characters), two classes of characters",
        shapes=(
            Shape(
                expression="(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|auth[_-]?token|access[_-]?token|client[_-]?secret|token)"
                "[\"']?[ \\t]{0,2}[:=][ \\t]{0,2}[\"']?[!-\\x7e]{8,120}",
                bare="medium",
                near="medium",
                check=_assigned,
                compact=False,
                caseless=True,
                left="0-9A-Za-z",
                right="!-\\x7e",
                width=180,
            ),
            Shape(
                expression="(?:密碼|密码|口令|パスワード|金鑰|비밀번호)"
                "(?:是|為|为|は)?[ \\t]{0,2}[:=]?[ \\t]{0,2}[!-\\x7e]{8,120}",
                bare="medium",
                near="medium",
                check=lambda v: _assigned("=" + v.lstrip("密碼码口令パスワド金鑰ー비밀번호是為为は:： \t")),
                compact=False,
                left="",
                right="!-\\x7e",
                width=200,
            ),
        ),
        catches=(
            "password = Zk7pQ2vR!x",
            "api_key: '" + RANDOM[:24] + "'",
            "密碼：Zk7pQ2vR!x",
            "パスワードはZk7pQ2vR9x です",
        ),
        spares=(
            "password: ********",
            "password = changeme123",
            "your password is secret",
            "token=aaaaaaaaaaaa",
            "密碼：請洽承辦人員",
        ),
        keep=0,
    ),
)
