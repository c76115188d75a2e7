"""Korea, Singapore and India: people."""

from __future__ import annotations

from stdnum.in_ import aadhaar, pan
from stdnum.kr import rrn

from services.policy.core.detectors import Detector, Shape
from services.policy.core.detectors.checks import known, real_date


def singapore(value: str) -> bool:
    """The check letter of NRIC (S, T) and FIN (F, G, M)."""
    value = value.upper()
    total = sum(int(d) * w for d, w in zip(value[1:8], (2, 7, 6, 5, 4, 3, 2), strict=True))
    total += {"T": 4, "G": 4, "M": 3}.get(value[0], 0)
    rest = total % 11
    if value[0] in "ST":
        return "JZIHGFEDCBA"[rest] == value[8]
    if value[0] in "FG":
        return "XWUTRQPNMLK"[rest] == value[8]
    return "KLJNPQRTUWX"[10 - rest] == value[8]


def korean_birth(value: str) -> bool:
    """A real date of birth: numbers given since October 2020 have no checksum."""
    century = {"1": 1900, "2": 1900, "5": 1900, "6": 1900, "3": 2000, "4": 2000, "7": 2000, "8": 2000}.get(value[6])
    return century is not None and real_date(century + int(value[:2]), int(value[2:4]), int(value[4:6]))


ASIA = (
    Detector(
        name="kr_resident_number",
        about="Korea: resident registration number",
        source="Resident Registration Act, 주민등록번호; random digits without checksum since October 2020",
        checksum="weighted sum, modulo 11 (numbers up to 2020), with a real date of birth",
        context={
            "ko": ("주민등록", "주민번호", "외국인등록"),
            "en": ("resident registration", "rrn"),
            "zh-Hant": ("身分證", "身份證"),
        },
        shapes=(
            Shape(run=True, expression="[0-9]{6}~[1-8][0-9]{6}", bare="medium", near="high", check=known(rrn)),
            Shape(run=True, expression="[0-9]{6}-[1-8][0-9]{6}", bare="low", near="medium", check=korean_birth),
        ),
        catches=("971013-1019901", "주민등록번호 900101-1234568", "주민번호 010203-4567891"),
        spares=("971301-1019905", "971013-0019905", "900101-123456"),
    ),
    Detector(
        name="sg_nric",
        about="Singapore: NRIC and FIN",
        source="Immigration and Checkpoints Authority, NRIC and FIN (M series of 2022)",
        checksum="weighted sum, modulo 11, as a letter",
        context={"en": ("nric", "fin", "singapore", "identity"), "zh-Hans": ("身份证",), "zh-Hant": ("身份證",)},
        shapes=(
            Shape(
                run=True,
                expression="[STFGM]~[0-9]{7}~[A-Z]",
                bare="medium",
                near="high",
                check=singapore,
                caseless=True,
            ),
        ),
        catches=("S1234567D", "NRIC: T0123456G", "F1234567N", "身份证S1234567D号"),
        spares=("S1234567E", "A1234567D", "S123456D"),
    ),
    Detector(
        name="in_aadhaar",
        about="India: Aadhaar number",
        source="Unique Identification Authority of India",
        checksum="Verhoeff",
        context={"en": ("aadhaar", "aadhar", "uidai", "uid")},
        shapes=(Shape(run=True, expression="[2-9](?:~[0-9]){11}", bare="low", near="high", check=known(aadhaar)),),
        catches=("Aadhaar 2341 2341 2346", "aadhar no: 234123412346"),
        spares=("Aadhaar 2341 2341 2347", "Aadhaar 1341 2341 2346", "234123412346"),
    ),
    Detector(
        name="in_pan",
        about="India: permanent account number",
        source="Income Tax Department: five letters, four digits, a letter; the fourth says whose it is",
        context={"en": ("permanent account", "income tax", "tax", "pan")},
        shapes=(
            Shape(
                expression="[A-Z]{3}[ABCFGHJLPT][A-Z][0-9]{4}[A-Z]",
                bare="low",
                near="medium",
                check=known(pan),
                caseless=True,
            ),
        ),
        catches=("PAN ACUPA7085R", "income tax no. AAAPL1234C"),
        spares=("ACUPA7085R", "PAN ACUXA7085R", "PAN ACUPA7085"),
    ),
)
