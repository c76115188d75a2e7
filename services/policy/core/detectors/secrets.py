"""Secrets of machines: keys of cloud and code providers, private keys, tokens, passwords in settings.

The examples are put together from pieces, so that they are no secrets to a scanner that reads this file.
"""

from __future__ import annotations

import base64
import binascii
import json
import re

from services.policy.core.detectors import Detector, Shape
from services.policy.core.detectors.checks import entropy

_RANDOM = "k3Jx9QmT7vRz2LpW8sYd4HcN6bGf1AeU5oKi0XtV"
_HEX = "9f8c2b7a41d35e60c8f7a2b94e1d0c36"
_KEY = "0-9A-Za-z_"
_EXAMPLE = re.compile(
    r"example|changeme|placeholder|your|xxxx|\*\*\*|<|\$\{|\{\{|dummy|sample|redacted|hunter2", re.IGNORECASE
)


def _mixed(value: str) -> bool:
    """As random as a key is: far from words and from one character again and again."""
    return entropy(value) >= 3.2 and not _EXAMPLE.search(value)


def _assigned(value: str) -> bool:
    """Whether what is assigned is a secret: random enough for its length, of more than one class of characters."""
    secret = re.split(r"[:=]\s*[\"']?", value, maxsplit=1)[-1].strip("\"' ")
    classes = sum(bool(re.search(c, secret)) for c in ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9]"))
    return (
        len(secret) >= 8
        and classes >= 2
        and entropy(secret) >= (3.0 if len(secret) >= 16 else 2.5)
        and not _EXAMPLE.search(secret)
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
    return not _EXAMPLE.search(value)


def _key(expression: str, *, check: bool = True, width: int = 200) -> Shape:
    return Shape(
        expression=expression,
        bare="high",
        near="high",
        check=_mixed if check else None,
        compact=False,
        left=_KEY,
        right=_KEY,
        width=width,
    )


def _provider(
    name: str, about: str, source: str, shapes: tuple[Shape, ...], catches: tuple[str, ...], spares: tuple[str, ...]
) -> Detector:
    return Detector(
        name=name, about=about, source=source, shapes=shapes, catches=catches, spares=spares, keep=4, checksum="entropy"
    )


_PROVIDERS = (
    _provider(
        "aws_access_key",
        "Amazon Web Services: access key id, and secret key beside its name",
        "AWS IAM, identifiers",
        (
            _key("(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"),
            Shape(
                expression="aws.{0,20}secret.{0,20}[:= \"']{1,4}[0-9A-Za-z/+]{40}",
                bare="high",
                near="high",
                check=_mixed,
                compact=False,
                caseless=True,
                left="",
                right="0-9A-Za-z/+=",
                width=140,
            ),
        ),
        ("AKIAQ3EGRZ5TLJ2WXNUP", "aws_secret_access_key = " + _RANDOM, "金鑰AKIAQ3EGRZ5TLJ2WXNUP請保密"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIA1234", "AKIAAAAAAAAAAAAAAAAA"),
    ),
    _provider(
        "gcp_api_key",
        "Google: API key and OAuth client secret",
        "Google Cloud, API keys",
        (_key("AIza[0-9A-Za-z_-]{35}"), _key("GOCSPX-[0-9A-Za-z_-]{28}")),
        ("AIza" + "Sy" + _RANDOM[:33], "GOCSPX-" + _RANDOM[:28]),
        ("AIzaSy", "AIza" + "A" * 35),
    ),
    _provider(
        "azure_storage_key",
        "Azure: key of a storage account, shared access signature",
        "Azure Storage, connection strings",
        (
            Shape(
                expression="AccountKey=[0-9A-Za-z+/]{86}==",
                bare="high",
                near="high",
                check=_mixed,
                compact=False,
                right="",
                width=140,
            ),
            Shape(
                expression="[?&]sig=[0-9A-Za-z%+/]{43,60}(?:%3D|=)",
                bare="medium",
                near="medium",
                check=_mixed,
                compact=False,
                left="",
                right="",
                caseless=True,
            ),
        ),
        (
            "AccountKey=" + (_RANDOM * 3)[:86] + "==",
            "https://a.blob.core.windows.net/c?sv=2024&sig=" + (_RANDOM * 2)[:43] + "%3D",
        ),
        ("AccountKey=abc==", "AccountKey=" + "A" * 86 + "=="),
    ),
    _provider(
        "github_token",
        "GitHub: personal, OAuth, app and refresh tokens",
        "GitHub, token formats of April 2021",
        (_key("gh[pousr]_[0-9A-Za-z]{36,251}", width=280), _key("github_pat_[0-9A-Za-z_]{82}")),
        ("ghp_" + _RANDOM[:36], "github_pat_" + (_RANDOM * 3)[:82], "權杖gho_" + _RANDOM[:36]),
        ("ghp_short", "ghp_" + "x" * 36),
    ),
    _provider(
        "gitlab_token",
        "GitLab: personal, project and runner tokens",
        "GitLab, token overview",
        (_key("gl(?:pat|ptt|dt|rt|cbt|soat)-[0-9A-Za-z_-]{20,50}"),),
        ("glpat-" + _RANDOM[:20],),
        ("glpat-short", "glpat-" + "a" * 20),
    ),
    _provider(
        "slack_token",
        "Slack: tokens and incoming webhooks",
        "Slack, token types",
        (
            _key("xox[abeoprs]-[0-9A-Za-z-]{20,250}", width=280),
            Shape(
                expression="hooks\\.slack\\.com/services/T[0-9A-Z]{7,12}/B[0-9A-Z]{7,12}/[0-9A-Za-z]{24}",
                bare="high",
                near="high",
                compact=False,
                check=_mixed,
            ),
        ),
        ("xoxb-2314567890-" + _RANDOM[:24], "https://hooks.slack.com/services/T024BE7LD/B024BE7LE/" + _RANDOM[:24]),
        ("xoxb-123", "xoxb-" + "1" * 24),
    ),
    _provider(
        "stripe_key",
        "Stripe: secret and restricted keys, webhook secrets",
        "Stripe, API keys",
        (_key("(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{24,247}", width=280), _key("whsec_[0-9A-Za-z]{32,64}")),
        ("sk_live_" + _RANDOM[:24], "rk_test_" + _RANDOM[:30]),
        ("sk_live_abc", "pk_live_" + _RANDOM[:24]),
    ),
    _provider(
        "ai_provider_key",
        "keys of OpenAI, Anthropic and Hugging Face",
        "the providers' key formats",
        (
            _key("sk-(?:ant-[a-z0-9]+-|proj-|svcacct-)[0-9A-Za-z_-]{32,160}"),
            _key("sk-[0-9A-Za-z]{48}"),
            _key("hf_[0-9A-Za-z]{34}"),
        ),
        ("sk-proj-" + (_RANDOM * 2)[:48], "sk-ant-api03-" + (_RANDOM * 2)[:60], "hf_" + _RANDOM[:34]),
        ("sk-short", "hf_" + "a" * 34),
    ),
    _provider(
        "saas_key",
        "keys of SendGrid, Twilio, Mailgun, npm, PyPI, Shopify, DigitalOcean, Telegram and Discord",
        "the providers' key formats",
        (
            _key("SG\\.[0-9A-Za-z_-]{22}\\.[0-9A-Za-z_-]{43}"),
            _key("SK[0-9a-f]{32}"),
            _key("key-[0-9a-f]{32}"),
            _key("npm_[0-9A-Za-z]{36}"),
            _key("pypi-[0-9A-Za-z_-]{50,200}", width=240),
            _key("shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
            _key("do[opr]_v1_[0-9a-f]{64}"),
            _key("[0-9]{8,10}:AA[0-9A-Za-z_-]{33}"),
            _key("[MNO][0-9A-Za-z_-]{23,25}\\.[0-9A-Za-z_-]{6}\\.[0-9A-Za-z_-]{27,38}"),
        ),
        (
            "SG." + _RANDOM[:22] + "." + (_RANDOM * 2)[:43],
            "SK" + _HEX,
            "npm_" + _RANDOM[:36],
            "shpat_" + _HEX,
            "dop_v1_" + _HEX + _HEX[::-1],
            "pypi-" + (_RANDOM * 2)[:60],
            "123456789:AA" + _RANDOM[:33],
        ),
        ("SG.abc.def", "SK" + "0" * 32, "npm_" + "a" * 36),
    ),
)

SECRETS = (
    *_PROVIDERS,
    Detector(
        name="api_key",
        about="a key of any of the cloud, code and service providers above",
        source="the providers' own documents of their key formats",
        checksum="entropy",
        shapes=tuple(shape for detector in _PROVIDERS for shape in detector.shapes),
        catches=tuple(detector.catches[0] for detector in _PROVIDERS),
        spares=tuple(detector.spares[0] for detector in _PROVIDERS),
        keep=4,
    ),
    Detector(
        name="private_key",
        about="private key in PEM, OpenSSH, PuTTY, PGP or age form",
        source="RFC 7468; PROTOCOL.key of OpenSSH; RFC 9580; C2SP age",
        shapes=(
            Shape(
                expression="-----BEGIN (?:[A-Z0-9]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----[ \\t]*\\r?\\n[^-]{16}",
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
                left=_KEY,
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
                right="^;\\s",
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
                expression="(?:密碼|密码|口令|パスワード|金鑰|비밀번호)(?:是|為|为|は)?[ \\t]{0,2}[:：=]?[ \\t]{0,2}[!-\\x7e]{8,120}",
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
            "api_key: '" + _RANDOM[:24] + "'",
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
