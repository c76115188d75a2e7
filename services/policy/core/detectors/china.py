"""China, Hong Kong and Macau: people, companies, telephones, cards."""

from __future__ import annotations

from stdnum.cn import ric, uscc

from services.policy.core.detectors import Detector, Language, Shape
from services.policy.core.detectors.checks import both, known, luhn, not_one_digit

_ID: dict[Language, tuple[str, ...]] = {
    "zh-Hans": ("身份证", "证件", "居民"),
    "zh-Hant": ("身分證", "身份證", "證件"),
    "en": ("resident id", "id card", "identity", "id number", "hkid"),
}


def hong_kong(value: str) -> bool:
    """The checksum of Hong Kong identity cards: modulo 11 over up to two letters and six digits."""
    value = value.upper()
    letters, digits, last = value[:-7], value[-7:-1], value[-1]
    values = [36] * (2 - len(letters)) + [ord(c) - 55 for c in letters] + [int(d) for d in digits]
    total = sum(v * w for v, w in zip(values, (9, 8, 7, 6, 5, 4, 3, 2), strict=True))
    return (total + (10 if last == "A" else int(last))) % 11 == 0


CHINA = (
    Detector(
        name="cn_resident_id",
        about="China: resident identity number",
        source="GB 11643-1999",
        checksum="ISO 7064 MOD 11-2, with a real date of birth and province",
        context=_ID,
        shapes=(
            Shape(
                run=True,
                expression="[1-9](?:~[0-9]){16}~[0-9X]",
                bare="high",
                near="high",
                check=known(ric),
                caseless=True,
            ),
        ),
        catches=("11010519491231002X", "身份证号：360426199101010071。", "110105 19491231 002x"),
        spares=("110105194912310021", "360426199113010071", "99010519491231002X"),
    ),
    Detector(
        name="cn_social_credit_code",
        about="China: unified social credit code of organisations",
        source="GB 32100-2015",
        checksum="modulo 31 over digits and letters",
        context={
            "zh-Hans": ("统一社会信用代码", "信用代码", "税号"),
            "zh-Hant": ("統一社會信用代碼", "稅號"),
            "en": ("social credit", "uscc"),
        },
        shapes=(
            Shape(
                expression="[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}",
                bare="medium",
                near="high",
                check=known(uscc),
                caseless=True,
            ),
        ),
        catches=("91110000600037341L", "统一社会信用代码91110000600037341L"),
        spares=("A1110000600037341L", "91110000600037341N"),
    ),
    Detector(
        name="cn_mobile",
        about="China: mobile telephone number",
        source="Ministry of Industry and Information Technology, numbering plan: 13 to 19 and nine digits",
        context={
            "zh-Hans": ("电话", "手机", "联系", "微信", "传真"),
            "zh-Hant": ("電話", "手機", "聯絡", "微信"),
            "en": ("phone", "mobile", "wechat", "call", "tel", "cell"),
        },
        keep=3,
        shapes=(
            Shape(run=True, expression="1[3-9][0-9]~[0-9]{4}~[0-9]{4}", bare="medium", near="high"),
            Shape(
                run=True, expression=r"(?:\+|00)86~1[3-9](?:~[0-9]){9}", bare="medium", near="high", left="0-9A-Za-z+"
            ),
        ),
        catches=("请联系13800138000谢谢", "+86 138 0013 8000", "手机：139-1234-5678"),
        spares=("12800138000", "138001380001", "1380013800"),
    ),
    Detector(
        name="cn_unionpay_card",
        about="China: UnionPay card",
        source="ISO/IEC 7812-1; China UnionPay, range 62 and lengths 16 to 19",
        checksum="Luhn",
        context={
            "zh-Hans": ("银联", "卡号", "银行卡", "储蓄卡", "信用卡"),
            "zh-Hant": ("銀聯", "卡號", "信用卡"),
            "en": ("unionpay", "card", "cup"),
        },
        keep=4,
        shapes=(
            Shape(
                run=True,
                expression="62[0-9]{2}~[0-9]{4}~[0-9]{4}~[0-9]{4}(?:~[0-9]{1,3})?",
                bare="medium",
                near="high",
                check=both(luhn, not_one_digit),
            ),
        ),
        catches=("6200 0000 0000 0005", "银联卡号6212345678901232", "6217 0000 1000 0000 003"),
        spares=("6200 0000 0000 0006", "62000000000000", "4111111111111111"),
    ),
    Detector(
        name="hk_identity_card",
        about="Hong Kong: identity card",
        source="Immigration Department, Hong Kong identity card",
        checksum="weighted sum, modulo 11",
        context=_ID,
        shapes=(
            Shape(expression="[A-Z]{1,2}~[0-9]{6}~[0-9A]", bare="low", near="high", check=hong_kong, caseless=True),
            Shape(expression=r"[A-Z]{1,2}[0-9]{6}\([0-9A]\)", bare="medium", near="high", check=hong_kong, right=""),
        ),
        catches=("身份證 A123456(3)", "HKID: G123456(A)", "Z683365(A)", "身份證號碼AB987654(3)"),
        spares=("A123456(4)", "身份證 A1234567", "G123456(9)"),
    ),
    Detector(
        name="mo_identity_card",
        about="Macau: identity card",
        source=(
            "Identification Services Bureau: seven digits from 1, 5 or 7 and one more "
            "in brackets; its rule is not public"
        ),
        context={
            "zh-Hant": ("身份證", "澳門", "身分證"),
            "zh-Hans": ("身份证", "澳门"),
            "en": ("macau", "macao", "bir"),
        },
        shapes=(
            Shape(
                run=True, expression=r"[157][0-9]{6}\([0-9]\)", bare="low", near="medium", check=not_one_digit, right=""
            ),
            Shape(run=True, expression="[157]~[0-9]{6}~[0-9]", bare=None, near="medium", check=not_one_digit),
        ),
        catches=("澳門身份證 1234563(4)", "Macau BIR 5215299(8)", "澳門居民身份證7412305(2)"),
        spares=("1234563(4)", "澳門身份證 2234563(4)"),
    ),
)
