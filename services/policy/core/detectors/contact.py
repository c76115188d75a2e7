"""What reaches or names a person anywhere: mail addresses, telephones, passports."""

from __future__ import annotations

from services.policy.core.detectors import Detector, Shape
from services.policy.core.detectors.checks import not_one_digit


def _telephone(value: str) -> bool:
    digits = value if value.isdigit() else "".join(c for c in value if c.isdigit())
    return 7 <= len(digits) <= 15 and not_one_digit(digits)


CONTACT = (
    Detector(
        name="email_address",
        about="mail address",
        source="RFC 5321 §4.1.2 (dot-string at a domain of two or more labels)",
        keep=0,
        shapes=(
            Shape(
                expression="[0-9A-Za-z](?:[0-9A-Za-z.!#$%&'*+/=?^_`{|}~-]{0,62}[0-9A-Za-z_+-])?@(?:[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?\\.){1,6}"
                "(?:[A-Za-z]{2,24}|xn--[0-9A-Za-z-]{2,40})".replace("~", "\\x7e"),
                bare="high",
                near="high",
                compact=False,
                # The part before the sign may begin anywhere in most text: the sign is what is rare.
                hint="@[0-9A-Za-z][0-9A-Za-z-]{0,62}\\.[0-9A-Za-z.-]{2,200}",
                left="0-9A-Za-z.!#$%&'*+/=?^_`{|}\\-",
                right="0-9A-Za-z\\-",
                width=320,
            ),
        ),
        catches=("alice@acme.example", "請寄信到bob.lin+x@mail.acme.example。", "<carol@example.co.jp>", "a@b.tw"),
        spares=("alice@localhost", "@acme.example", "alice at acme.example", "a@b"),
    ),
    Detector(
        name="phone_number",
        about="telephone number in international or usual national form",
        source="ITU-T E.164; the forms in which people write them",
        context={
            "en": ("phone", "mobile", "call me", "tel", "fax", "cell"),
            "zh-Hant": ("電話", "手機", "傳真", "聯絡", "行動"),
            "zh-Hans": ("电话", "手机", "传真", "联系"),
            "ja": ("電話", "携帯", "TEL", "ファックス"),
            "ko": ("전화", "휴대폰", "연락처"),
        },
        keep=3,
        shapes=(
            Shape(
                expression="\\+[1-9][0-9]{0,2}(?:[ .()-]{0,2}[0-9]){6,13}",
                bare="medium",
                near="high",
                check=_telephone,
                left="0-9A-Za-z+",
            ),
            Shape(
                run=True,
                expression="09[0-9]{2}~[0-9]{3}~[0-9]{3}|1[3-9][0-9]~[0-9]{4}~[0-9]{4}|0[789]0~[0-9]{4}~[0-9]{4}|010~[0-9]{4}~[0-9]{4}",
                bare="medium",
                near="high",
                check=_telephone,
            ),
            Shape(
                expression=(
                    "\\(?0[1-9][0-9]{0,3}\\)?[ -]{1,2}[0-9]{3,4}[ -][0-9]{3,4}"
                    "|\\([2-9][0-9]{2}\\) ?[0-9]{3}-[0-9]{4}|[2-9][0-9]{2}-[0-9]{3}-[0-9]{4}"
                ),
                bare="medium",
                near="high",
                check=_telephone,
            ),
        ),
        catches=(
            "+886 2 2345 6789",
            "+1 (415) 555-0132",
            "手機0912345678",
            "03-1234-5678",
            "(415) 555-0132",
            "请联系13800138000谢谢",
            "+44 20 7946 0958",
        ),
        spares=("2026-11-24", "123", "order 4111111111111111", "+0 123"),
    ),
    Detector(
        name="passport",
        about="passport number of any country, beside a word that says so",
        source="ICAO Doc 9303-4: up to nine letters and digits; no checksum in the number itself",
        context={
            "en": ("passport", "travel document"),
            "zh-Hant": ("護照",),
            "zh-Hans": ("护照",),
            "ja": ("旅券", "パスポート"),
            "ko": ("여권",),
            "de": ("reisepass", "passnummer"),
            "fr": ("passeport",),
            "es": ("pasaporte",),
            "it": ("passaporto",),
            "nl": ("paspoort",),
        },
        shapes=(
            Shape(expression="[A-Z]{0,2}[0-9]{6,9}", bare=None, near="medium", check=not_one_digit, caseless=True),
            Shape(
                expression="P[A-Z<][A-Z]{3}[A-Z]{2,30}<<[A-Z<]{5,36}",
                bare="medium",
                near="high",
                compact=False,
                left="0-9A-Za-z<",
                right="0-9A-Za-z",
            ),
        ),
        catches=(
            "護照號碼 312345678",
            "passport no. E00007730",
            "Reisepass C4829103",
            "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
        ),
        spares=("312345678", "passport 12345", "護照 000000000"),
    ),
)
