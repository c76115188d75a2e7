"""Addresses and keys of crypto-currencies."""

from __future__ import annotations

import hashlib

from stdnum import bitcoin

from services.policy.core.detectors import Detector, Language, Shape
from services.policy.core.detectors.checks import keccak256, known

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_CONTEXT: dict[Language, tuple[str, ...]] = {
    "en": ("wallet", "bitcoin", "ethereum", "crypto", "usdt", "btc", "eth", "tron"),
    "zh-Hant": ("錢包", "比特幣", "以太", "加密貨幣", "虛擬貨幣"),
    "zh-Hans": ("钱包", "比特币", "以太"),
    "ja": ("ウォレット", "ビットコイン", "仮想通貨"),
}


def base58check(value: str) -> bytes | None:
    """The payload with its version, or None when the checksum is wrong."""
    number = 0
    for character in value:
        place = _BASE58.find(character)
        if place < 0:
            return None
        number = number * 58 + place
    padding = len(value) - len(value.lstrip("1"))
    raw = b"\0" * padding + number.to_bytes((number.bit_length() + 7) // 8)
    payload, check = raw[:-4], raw[-4:]
    return payload if hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4] == check else None


def eip55(value: str) -> bool:
    """Whether upper and lower case are those that EIP-55 asks for."""
    digits = value[2:]
    digest = keccak256(digits.lower().encode()).hex()
    return all(c.isdigit() or c.isupper() == (int(h, 16) > 7) for c, h in zip(digits, digest, strict=False))


def _one_case(value: str) -> bool:
    return value[2:].islower() or value[2:].isupper()


def _tron(value: str) -> bool:
    payload = base58check(value)
    return payload is not None and len(payload) == 21 and payload[0] == 0x41


def _wif(value: str) -> bool:
    payload = base58check(value)
    return payload is not None and payload[0] == 0x80 and len(payload) in (33, 34)


WALLETS = (
    Detector(
        name="bitcoin_address",
        about="Bitcoin address, base58check and bech32",
        source="Bitcoin Core; BIP 173, BIP 350",
        checksum="double SHA-256, or the BCH code of bech32",
        context=_CONTEXT,
        keep=4,
        shapes=(
            Shape(
                expression="[13][1-9A-HJ-NP-Za-km-z]{25,34}",
                bare="high",
                near="high",
                check=known(bitcoin),
                compact=False,
            ),
            Shape(
                expression="bc1[02-9ac-hj-np-z]{11,71}",
                bare="high",
                near="high",
                check=known(bitcoin),
                compact=False,
                caseless=True,
            ),
        ),
        catches=(
            "1NEDqZPvTWRaoho48qXuLLsrYomMXPABfD",
            "錢包bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4請匯",
            "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
        ),
        spares=("1NEDqZPvTWRaoho48qXuLLsrYomMXPABfA", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5"),
    ),
    Detector(
        name="ethereum_address",
        about="Ethereum address",
        source="EIP-55",
        checksum="Keccak-256 in the letters' case; none when they are of one case",
        context=_CONTEXT,
        keep=4,
        shapes=(
            Shape(
                expression="0x[0-9a-fA-F]{40}",
                bare="high",
                near="high",
                check=lambda v: not _one_case(v) and eip55(v),
                compact=False,
            ),
            Shape(expression="0x[0-9a-fA-F]{40}", bare="low", near="medium", check=_one_case, compact=False),
        ),
        catches=("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "ETH wallet 0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"),
        spares=("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"),
    ),
    Detector(
        name="tron_address",
        about="Tron address",
        source="Tron developers' documentation, account address format",
        checksum="double SHA-256",
        context=_CONTEXT,
        keep=4,
        shapes=(Shape(expression="T[1-9A-HJ-NP-Za-km-z]{33}", bare="high", near="high", check=_tron, compact=False),),
        catches=("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",),
        spares=("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6u",),
    ),
    Detector(
        name="bitcoin_private_key",
        about="Bitcoin private key in the wallet import format",
        source="Bitcoin Core, wallet import format",
        checksum="double SHA-256",
        context=_CONTEXT,
        keep=0,
        shapes=(
            Shape(expression="[5KL][1-9A-HJ-NP-Za-km-z]{50,51}", bare="high", near="high", check=_wif, compact=False),
        ),
        catches=("5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",),
        spares=("5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTK",),
    ),
)
