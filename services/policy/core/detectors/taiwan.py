"""Taiwan: people, companies, documents, telephones, accounts, vehicles."""

from __future__ import annotations

from services.policy.core.detectors import Detector, Language, Shape
from services.policy.core.detectors.checks import not_one_digit

_LETTERS = {c: n for n, c in enumerate("ABCDEFGHJKLMNPQRSTUVXYWZIO", 10)}
_WEIGHTS = (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)
_COMPANY = (1, 2, 1, 2, 1, 2, 4, 1)


def person(value: str) -> bool:
    """The checksum of national ids and of resident certificates in both forms (Ministry of the Interior)."""
    value = value.upper()
    first = _LETTERS.get(value[0])
    second = value[1] if value[1].isdigit() else str(_LETTERS.get(value[1], 0) % 10)
    digits = f"{first}{second}{value[2:]}"
    return first is not None and sum(int(d) * w for d, w in zip(digits, _WEIGHTS, strict=True)) % 10 == 0


def company(value: str) -> bool:
    """The checksum of business numbers (Ministry of Finance): divisible by 5 since April 2023, by 10 before."""
    if not not_one_digit(value):
        return False
    products = [int(d) * w for d, w in zip(value, _COMPANY, strict=True)]
    total = sum(p // 10 + p % 10 for p in products)
    # A 7 in the seventh place times 4 is 28, whose digits sum to 10: counted as 1 or as 0.
    return total % 5 == 0 or (value[6] == "7" and (total + 1) % 5 == 0)


_ID: dict[Language, tuple[str, ...]] = {
    "zh-Hant": ("身分證", "身份證", "統一證號", "居留證", "證號", "字號"),
    "zh-Hans": ("身份证", "居留证"),
    "ja": ("身分証",),
    "en": ("national id", "id number", "id no", "identity", "resident certificate", "arc no", "arc"),
}
_PHONE: dict[Language, tuple[str, ...]] = {
    "zh-Hant": ("電話", "手機", "行動", "聯絡", "傳真", "分機"),
    "zh-Hans": ("电话", "手机", "传真"),
    "ja": ("電話", "携帯"),
    "en": ("phone", "mobile", "call", "tel", "fax", "cell"),
}

TAIWAN = (
    Detector(
        name="tw_national_id",
        about="Taiwan: national identification number",
        source="Ministry of the Interior, 國民身分證統一編號",
        checksum="weighted sum, modulo 10",
        context=_ID,
        shapes=(
            Shape(
                run=True, expression="[A-Z]~[12](?:~[0-9]){8}", bare="medium", near="high", check=person, caseless=True
            ),
        ),
        catches=("A123456789", "身分證字號：A123456789。", "我的證號是F131104093謝謝", "id a123456789", "A1 2345 6789"),
        spares=("A123456788", "A323456789", "AA123456789", "A1234567890", "order B1234567"),
    ),
    Detector(
        name="tw_resident_certificate",
        about="Taiwan: resident certificate, new (A8…, A9…) and old (AC…)",
        source="National Immigration Agency, 外來人口統一證號, both forms",
        checksum="weighted sum, modulo 10",
        context=_ID,
        shapes=(
            Shape(
                run=True, expression="[A-Z]~[89](?:~[0-9]){8}", bare="medium", near="high", check=person, caseless=True
            ),
            Shape(
                run=True, expression="[A-Z]~[A-D](?:~[0-9]){8}", bare="medium", near="high", check=person, caseless=True
            ),
        ),
        catches=("A800000014", "居留證 AC01234567", "統一證號A900000016"),
        spares=("A800000015", "AC01234568", "A123456789", "AE01234567"),
    ),
    Detector(
        name="tw_business_number",
        about="Taiwan: business number of companies",
        source="Ministry of Finance, 統一編號檢查碼 (rule of April 2023)",
        checksum="sum of the digits of products, modulo 5; a 7 in the seventh place counts either way",
        context={
            "zh-Hant": ("統一編號", "統編", "公司編號", "營利事業", "買受人"),
            "zh-Hans": ("统一编号", "统编"),
            "en": ("business number", "tax id", "unified business", "ubn", "vat no", "gui"),
        },
        shapes=(Shape(run=True, expression="[0-9](?:~[0-9]){7}", bare="low", near="high", check=company),),
        catches=("統一編號 04595257", "統編:10458575", "買受人統編：00501503", "UBN 0459-5257"),
        spares=("統一編號 04595253", "04595257", "統編 12345678", "統編 00000000"),
    ),
    Detector(
        name="tw_health_card",
        about="Taiwan: number of a National Health Insurance card",
        source="National Health Insurance Administration, 健保卡卡號, twelve digits, no published checksum",
        context={
            "zh-Hant": ("健保卡", "健保", "全民健康保險"),
            "zh-Hans": ("健保卡",),
            "en": ("health card", "nhi card", "nhi"),
        },
        shapes=(Shape(run=True, expression="[0-9](?:~[0-9]){11}", bare=None, near="medium", check=not_one_digit),),
        catches=("健保卡號 000012345678", "NHI card 0000 4567 8901"),
        spares=("000012345678", "健保卡號 00001234567", "健保卡 000000000000"),
    ),
    Detector(
        name="tw_passport",
        about="Taiwan: passport number",
        source="Bureau of Consular Affairs: nine digits (or a letter and eight), no checksum",
        context={"zh-Hant": ("護照",), "zh-Hans": ("护照",), "ja": ("旅券", "パスポート"), "en": ("passport",)},
        shapes=(
            Shape(
                run=True, expression="[A-Z0-9][0-9]{8}", bare=None, near="medium", check=not_one_digit, caseless=True
            ),
        ),
        catches=("護照號碼 312345678", "passport no. 360012345"),
        spares=("312345678", "護照號碼 31234567", "護照 111111111"),
    ),
    Detector(
        name="tw_mobile",
        about="Taiwan: mobile telephone number",
        source="National Communications Commission, numbering plan: 09 and eight digits",
        context=_PHONE,
        keep=3,
        shapes=(
            Shape(run=True, expression="09(?:~[0-9]){8}", bare="medium", near="high"),
            Shape(
                run=True,
                expression=r"(?:\+|00)?886~(?:\(0\))?~9(?:~[0-9]){8}",
                bare="medium",
                near="high",
                left="0-9A-Za-z+",
            ),
        ),
        catches=("0912345678", "手機0912-345-678", "+886 912 345 678", "886-912-345678", "請撥0912345678找我"),
        spares=("091234567", "09123456789", "0812345678"),
    ),
    Detector(
        name="tw_landline",
        about="Taiwan: fixed telephone number",
        source="National Communications Commission, numbering plan: area code 2 to 8 and seven or eight digits",
        context=_PHONE,
        keep=3,
        shapes=(
            Shape(expression=r"\(?0[2-8][0-9]{0,2}[)\-][ -]?[0-9]{3,4}[ -]?[0-9]{3,4}", bare="medium", near="high"),
            Shape(run=True, expression="0[2-8](?:~[0-9]){7,8}", bare=None, near="medium"),
            Shape(
                run=True,
                expression=r"\+886[ -]?(?:\(0\))?[2-8][0-9]{0,2}[ -]?[0-9]{3,4}[ -]?[0-9]{3,4}",
                bare="medium",
                near="high",
                left="0-9A-Za-z+",
            ),
        ),
        catches=("(02)2345-6789", "電話02-2345-6789轉12", "+886 2 2345 6789", "電話：0423456789", "049-2345678"),
        spares=("0223456789", "02-2345", "2026-11-24"),
    ),
    Detector(
        name="tw_bank_account",
        about="Taiwan: bank account, with or without the bank's code",
        source=(
            "Financial Information Service: bank code of three digits, account of ten to sixteen; no common checksum"
        ),
        context={
            "zh-Hant": ("帳號", "帳戶", "匯款", "轉帳", "銀行代碼", "戶名"),
            "zh-Hans": ("账号", "帐号", "汇款"),
            "ja": ("口座",),
            "en": ("bank account", "account no", "account number", "acct", "a/c"),
        },
        shapes=(
            Shape(
                run=True,
                expression=r"(?:\(?[0-9]{3}\)?[ -]?)?[0-9](?:~[0-9]){9,15}",
                bare=None,
                near="medium",
                check=not_one_digit,
            ),
        ),
        catches=("匯款帳號 012-123456789012", "帳號:12345678901239", "帳號 (822) 901234567891"),
        spares=("123456789012345", "帳號 12345", "帳號 0000000000"),
    ),
    Detector(
        name="tw_licence_plate",
        about="Taiwan: licence plate of a vehicle",
        source="Highway Bureau: three letters and four digits, and the older forms",
        context={
            "zh-Hant": ("車牌", "車號", "牌照", "車籍"),
            "zh-Hans": ("车牌", "车号"),
            "en": ("licence plate", "license plate", "plate no", "vehicle", "plate"),
        },
        shapes=(
            Shape(expression="[A-Z]{3}[ -]?[0-9]{4}", bare="low", near="medium"),
            Shape(expression="[A-Z]{2}-?[0-9]{4}|[0-9]{4}-?[A-Z]{2}|[A-Z][0-9]-[0-9]{4}", bare=None, near="medium"),
        ),
        catches=("車牌 ABC-1234", "車號AB-1234", "plate no 1234-XY", "車牌號碼：BKA5678"),
        spares=("ABC-1234", "AB-1234", "車牌 ABCD-123"),
    ),
)
