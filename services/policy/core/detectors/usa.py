"""United States: people, banks, providers of health care."""

from __future__ import annotations

from stdnum.us import itin, rtn, ssn

from services.policy.core.detectors import Detector, Shape
from services.policy.core.detectors.checks import both, known, luhn, not_one_digit


def provider(value: str) -> bool:
    """Luhn over the number with the prefix of health applications (45 CFR 162.406)."""
    return luhn(f"80840{value}")


USA = (
    Detector(
        name="us_ssn",
        about="United States: social security number",
        source="Social Security Administration: groups that are never given; random since 2011, no checksum",
        context={
            "en": ("social security", "ssn", "ss#", "taxpayer"),
            "zh-Hant": ("社會安全", "社安"),
            "zh-Hans": ("社会安全", "社安"),
        },
        shapes=(
            Shape(
                run=True,
                expression="[0-8][0-9]{2}-[0-9]{2}-[0-9]{4}",
                bare="medium",
                near="high",
                check=both(known(ssn), not_one_digit),
            ),
            Shape(
                run=True,
                expression="[0-8][0-9]{2}~[0-9]{2}~[0-9]{4}",
                bare=None,
                near="medium",
                check=both(known(ssn), not_one_digit),
            ),
        ),
        catches=("536-90-4399", "SSN 536904399", "社會安全號碼536-90-4399", "SSN: 536 90 4399"),
        spares=("000-12-3456", "666-12-3456", "536-00-4399", "536904399", "1536-90-43991", "078-05-1120", "2026-11-24"),
    ),
    Detector(
        name="us_itin",
        about="United States: individual taxpayer identification number",
        source="Internal Revenue Service: 9xx with groups 50-65, 70-88, 90-92, 94-99",
        context={"en": ("itin", "taxpayer", "tax id", "irs")},
        shapes=(
            Shape(run=True, expression="9[0-9]{2}-[5-9][0-9]-[0-9]{4}", bare="medium", near="high", check=known(itin)),
            Shape(run=True, expression="9[0-9]{2}~[5-9][0-9]~[0-9]{4}", bare=None, near="medium", check=known(itin)),
        ),
        catches=("912-90-3456", "ITIN 912903457"),
        spares=("912-89-3456", "912903457", "812-90-3456"),
    ),
    Detector(
        name="us_aba_routing",
        about="United States: routing number of a bank",
        source="American Bankers Association, routing number policy",
        checksum="weighted sum, modulo 10",
        context={"en": ("routing", "aba", "ach", "wire", "rtn")},
        shapes=(
            Shape(
                run=True,
                expression="(?:0[0-9]|1[0-2]|2[1-9]|3[0-2]|6[1-9]|7[0-2]|80)(?:~[0-9]){7}",
                bare="low",
                near="high",
                check=both(known(rtn), not_one_digit),
            ),
        ),
        catches=("routing number 111000025", "ABA 0210-0002-1"),
        spares=("routing number 112000025", "111000025"),
    ),
    Detector(
        name="us_npi",
        about="United States: national provider identifier",
        source="45 CFR 162.406",
        checksum="Luhn with the prefix 80840",
        context={"en": ("npi", "provider")},
        shapes=(
            Shape(
                run=True, expression="[12](?:~[0-9]){9}", bare="low", near="high", check=both(provider, not_one_digit)
            ),
        ),
        catches=("NPI 1234567893", "provider 1245319599"),
        spares=("NPI 1234567890", "1234567893"),
    ),
    Detector(
        name="us_passport",
        about="United States: passport number",
        source="Department of State: nine digits, or a letter and eight; no checksum",
        context={"en": ("passport",), "zh-Hant": ("護照",), "zh-Hans": ("护照",)},
        shapes=(
            Shape(
                run=True, expression="[A-Z0-9][0-9]{8}", bare=None, near="medium", check=not_one_digit, caseless=True
            ),
        ),
        catches=("US passport 340007237", "passport: A00007237"),
        spares=("340007237", "passport 34000723"),
    ),
)
