"""Japan: people, companies, documents, accounts."""

from __future__ import annotations

from stdnum.jp import cn, in_

from services.policy.core.detectors import Detector, Shape
from services.policy.core.detectors.checks import both, known, not_one_digit, weighted

_LICENCE = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)


def licence(value: str) -> bool:
    """The check digit in the eleventh place: modulo 11 over the first ten."""
    rest = 11 - weighted(value, _LICENCE) % 11
    return not_one_digit(value) and int(value[10]) == (0 if rest > 9 else rest)


JAPAN = (
    Detector(
        name="jp_my_number",
        about="Japan: individual number (My Number)",
        source="Ministry of Internal Affairs, Order 85 of 2014, article 5",
        checksum="weighted sum, modulo 11",
        context={
            "ja": ("マイナンバー", "個人番号", "個人番號", "番号カード"),
            "zh-Hant": ("個人番號", "個人編號"),
            "en": ("my number", "mynumber", "individual number"),
        },
        shapes=(
            Shape(
                run=True,
                expression="[0-9](?:~[0-9]){11}",
                bare="low",
                near="high",
                check=both(known(in_), not_one_digit),
            ),
        ),
        catches=("マイナンバー 6214 9832 0257", "個人番号：621498320257です", "My Number 6214-9832-0257"),
        spares=("個人番号 621498320258", "621498320257", "個人番号 000000000000"),
    ),
    Detector(
        name="jp_corporate_number",
        about="Japan: corporate number",
        source="National Tax Agency, 法人番号",
        checksum="weighted sum, modulo 9",
        context={"ja": ("法人番号", "法人番號"), "en": ("corporate number", "houjin")},
        shapes=(Shape(run=True, expression="[1-9](?:~[0-9]){12}", bare="low", near="high", check=known(cn)),),
        catches=("法人番号 5835678256246", "法人番号：5-8356-7825-6246"),
        spares=("法人番号 2835678256246", "5835678256246"),
    ),
    Detector(
        name="jp_passport",
        about="Japan: passport number",
        source="Ministry of Foreign Affairs: two letters and seven digits, no checksum",
        context={"ja": ("旅券", "パスポート"), "zh-Hant": ("護照",), "zh-Hans": ("护照",), "en": ("passport",)},
        shapes=(
            Shape(
                run=True, expression="[A-Z]{2}[0-9]{7}", bare="low", near="medium", check=not_one_digit, caseless=True
            ),
        ),
        catches=("旅券番号 TR1234560", "パスポート:MZ0123458", "passport tk4567891"),
        spares=("TR1234560", "旅券番号 T1234567", "旅券番号 TR12345678"),
    ),
    Detector(
        name="jp_driving_licence",
        about="Japan: driving licence",
        source="National Police Agency: twelve digits, the eleventh checks the first ten",
        checksum="weighted sum, modulo 11",
        context={
            "ja": ("免許", "運転"),
            "zh-Hant": ("駕照",),
            "en": ("driving licence", "driver's license", "driver license"),
        },
        shapes=(Shape(run=True, expression="[0-9](?:~[0-9]){11}", bare=None, near="high", check=licence),),
        catches=("運転免許証 第301234567810号", "免許証番号 3012 3456 7810"),
        spares=("免許証番号 301234567850", "301234567860"),
    ),
    Detector(
        name="jp_bank_account",
        about="Japan: bank account, seven digits with its branch",
        source="Japanese Bankers Association: branch of three digits, account of seven; no checksum",
        context={
            "ja": ("口座", "普通", "当座", "振込", "銀行"),
            "en": ("bank account", "account no", "account number"),
            "zh-Hant": ("帳號", "帳戶"),
        },
        shapes=(
            Shape(run=True, expression="(?:[0-9]{3}[ -])?[0-9]{7}", bare=None, near="medium", check=not_one_digit),
        ),
        catches=("口座番号 1230456", "普通 7654320", "振込先 001-1230456"),
        spares=("1230456", "口座番号 123045", "口座番号 1111111"),
    ),
)
