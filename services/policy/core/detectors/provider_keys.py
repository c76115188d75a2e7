"""Keys of cloud, code and service providers: each has a form of its own.

The examples are put together from pieces, so that they are no secrets to a scanner that reads this file.
"""

from __future__ import annotations

import re

from services.policy.core.detectors import Detector, Shape
from services.policy.core.detectors.checks import entropy

RANDOM = "k3Jx9QmT7vRz2LpW8sYd4HcN6bGf1AeU5oKi0XtV"
_HEX = "9f8c2b7a41d35e60c8f7a2b94e1d0c36"
NAME_BYTES = "0-9A-Za-z_"
EXAMPLE = re.compile(
    r"example|changeme|placeholder|your|xxxx|\*\*\*|<|\$\{|\{\{|dummy|sample|redacted|hunter2", re.IGNORECASE
)


def _mixed(value: str) -> bool:
    """As random as a key is: far from words and from one character again and again."""
    return entropy(value) >= 3.2 and not EXAMPLE.search(value)


def _key(expression: str, *, check: bool = True, width: int = 200) -> Shape:
    return Shape(
        expression=expression,
        bare="high",
        near="high",
        check=_mixed if check else None,
        compact=False,
        left=NAME_BYTES,
        right=NAME_BYTES,
        width=width,
    )


def _provider(
    name: str, about: str, source: str, shapes: tuple[Shape, ...], catches: tuple[str, ...], spares: tuple[str, ...]
) -> Detector:
    return Detector(
        name=name, about=about, source=source, shapes=shapes, catches=catches, spares=spares, keep=4, checksum="entropy"
    )


PROVIDERS = (
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
        ("AKIAQ3EGRZ5TLJ2WXNUP", "aws_secret_access_key = " + RANDOM, "金鑰AKIAQ3EGRZ5TLJ2WXNUP請保密"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIA1234", "AKIAAAAAAAAAAAAAAAAA"),
    ),
    _provider(
        "gcp_api_key",
        "Google: API key and OAuth client secret",
        "Google Cloud, API keys",
        (_key("AIza[0-9A-Za-z_-]{35}"), _key("GOCSPX-[0-9A-Za-z_-]{28}")),
        ("AIza" + "Sy" + RANDOM[:33], "GOCSPX-" + RANDOM[:28]),
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
            "AccountKey=" + (RANDOM * 3)[:86] + "==",
            "https://a.blob.core.windows.net/c?sv=2024&sig=" + (RANDOM * 2)[:43] + "%3D",
        ),
        ("AccountKey=abc==", "AccountKey=" + "A" * 86 + "=="),
    ),
    _provider(
        "github_token",
        "GitHub: personal, OAuth, app and refresh tokens",
        "GitHub, token formats of April 2021",
        (_key("gh[pousr]_[0-9A-Za-z]{36,251}", width=280), _key("github_pat_[0-9A-Za-z_]{82}")),
        ("ghp_" + RANDOM[:36], "github_pat_" + (RANDOM * 3)[:82], "權杖gho_" + RANDOM[:36]),
        ("ghp_short", "ghp_" + "x" * 36),
    ),
    _provider(
        "gitlab_token",
        "GitLab: personal, project and runner tokens",
        "GitLab, token overview",
        (_key("gl(?:pat|ptt|dt|rt|cbt|soat)-[0-9A-Za-z_-]{20,50}"),),
        ("glpat-" + RANDOM[:20],),
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
        ("xoxb-2314567890-" + RANDOM[:24], "https://hooks.slack.com/services/T024BE7LD/B024BE7LE/" + RANDOM[:24]),
        ("xoxb-123", "xoxb-" + "1" * 24),
    ),
    _provider(
        "stripe_key",
        "Stripe: secret and restricted keys, webhook secrets",
        "Stripe, API keys",
        (_key("(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{24,247}", width=280), _key("whsec_[0-9A-Za-z]{32,64}")),
        ("sk_live_" + RANDOM[:24], "rk_test_" + RANDOM[:30]),
        ("sk_live_abc", "pk_live_" + RANDOM[:24]),
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
        ("sk-proj-" + (RANDOM * 2)[:48], "sk-ant-api03-" + (RANDOM * 2)[:60], "hf_" + RANDOM[:34]),
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
            "SG." + RANDOM[:22] + "." + (RANDOM * 2)[:43],
            "SK" + _HEX,
            "npm_" + RANDOM[:36],
            "shpat_" + _HEX,
            "dop_v1_" + _HEX + _HEX[::-1],
            "pypi-" + (RANDOM * 2)[:60],
            "123456789:AA" + RANDOM[:33],
        ),
        ("SG.abc.def", "SK" + "0" * 32, "npm_" + "a" * 36),
    ),
)
