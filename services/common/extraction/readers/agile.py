"""Encrypted OOXML, as Office 2010 and later write it (MS-OFFCRYPTO 2.3.4.10, agile encryption)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from xml.etree import ElementTree

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_INPUT = bytes.fromhex("fea7d2763b4b9e79")
_VALUE = bytes.fromhex("d7aa0f6d3061344e")
_KEY = bytes.fromhex("146e0be7abacd0d6")
_MAX_SPINS = 1_000_000
_SEGMENT = 4096
_NS = "{http://schemas.microsoft.com/office/2006/encryption}"
_PASSWORD = "{http://schemas.microsoft.com/office/2006/keyEncryptor/password}"


def decrypt(info: bytes, package: bytes, password: str) -> bytes | None:
    """The file inside; None when the password is wrong, or the encryption is of another kind."""
    if info[:4] != b"\x04\x00\x04\x00" or b"<!" in info:
        return None
    root = ElementTree.fromstring(info[8:].rstrip(b"\0"))  # noqa: S314  no document type, so no entities
    data, key = root.find(f"{_NS}keyData"), root.find(f".//{_PASSWORD}encryptedKey")
    if data is None or key is None or int(key.attrib["spinCount"]) > _MAX_SPINS:
        return None
    if key.attrib["cipherChaining"] != "ChainingModeCBC" or data.attrib["cipherAlgorithm"] != "AES":
        return None
    salt, name, bits = _bytes(key, "saltValue"), key.attrib["hashAlgorithm"], int(key.attrib["keyBits"])
    digest = hashlib.new(name, salt + password.encode("utf-16-le")).digest()
    for spin in range(int(key.attrib["spinCount"])):
        digest = hashlib.new(name, struct.pack("<I", spin) + digest).digest()

    def opened(block: bytes, attribute: str) -> bytes:
        derived = _fit(hashlib.new(name, digest + block).digest(), bits // 8)
        return _aes(derived, salt, _bytes(key, attribute))

    nonce = opened(_INPUT, "encryptedVerifierHashInput")[: int(key.attrib["saltSize"])]
    told = opened(_VALUE, "encryptedVerifierHashValue")[: int(key.attrib["hashSize"])]
    if not hmac.compare_digest(hashlib.new(name, nonce).digest(), told):
        return None
    secret = opened(_KEY, "encryptedKeyValue")[: bits // 8]
    salt, name = _bytes(data, "saltValue"), data.attrib["hashAlgorithm"]
    (size,) = struct.unpack_from("<Q", package)
    plain = bytearray()
    for index, start in enumerate(range(8, len(package), _SEGMENT)):
        vector = _fit(hashlib.new(name, salt + struct.pack("<I", index)).digest(), 16)
        block = package[start : start + _SEGMENT]
        plain += _aes(secret, vector, block[: len(block) // 16 * 16])
    return bytes(plain[:size])


def _bytes(element: ElementTree.Element, attribute: str) -> bytes:
    return base64.b64decode(element.attrib[attribute])


def _fit(value: bytes, size: int) -> bytes:
    return value[:size].ljust(size, b"\x36")


def _aes(key: bytes, vector: bytes, data: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(key), modes.CBC(_fit(vector, 16))).decryptor()
    return decryptor.update(data) + decryptor.finalize()
