"""Medical records: codes of diagnoses and laboratory tests, numbers of records. Each needs a word beside it."""

from __future__ import annotations

from services.policy.core.detectors import Detector, Language, Shape
from services.policy.core.detectors.checks import luhn, not_one_digit

_CARE: dict[Language, tuple[str, ...]] = {
    "en": ("diagnos", "icd-10", "icd10", "icd", "patient", "disease", "admission", "discharge summary"),
    "zh-Hant": ("診斷", "病患", "病人", "病歷", "疾病", "主訴", "住院"),
    "zh-Hans": ("诊断", "患者", "病历", "疾病", "住院"),
    "ja": ("診断", "患者", "病名", "傷病", "カルテ"),
    "ko": ("진단", "환자"),
}


def loinc(value: str) -> bool:
    """The check digit behind the dash: Luhn (LOINC users' guide, appendix C)."""
    return luhn(value.replace("-", ""))


MEDICAL = (
    Detector(
        name="icd10_code",
        about="ICD-10 code of a diagnosis",
        source="WHO ICD-10 and ICD-10-CM: a letter, two places, up to four more behind a dot",
        context=_CARE,
        keep=0,
        shapes=(
            Shape(expression=r"[A-TV-Z][0-9][0-9AB]\.[0-9A-TV-Z]{1,4}", bare="low", near="medium"),
            Shape(expression="[A-TV-Z][0-9][0-9AB]", bare=None, near="low", right="0-9A-Za-z."),
        ),
        catches=("診斷：E11.9 第二型糖尿病", "diagnosis I10.0", "ICD-10: S72.001A", "患者 J45.909"),
        spares=("E11.9", "see A4 and B5", "診斷 U99.X"),
    ),
    Detector(
        name="medical_record_number",
        about="number of a patient's record",
        source="each hospital's own: six to ten digits beside a word that says so",
        context={
            "en": ("mrn", "medical record", "chart no", "patient id", "record no"),
            "zh-Hant": ("病歷號", "病歷編號", "病歷號碼"),
            "zh-Hans": ("病历号", "住院号"),
            "ja": ("患者番号", "患者ID", "カルテ番号", "診察券"),
        },
        shapes=(Shape(expression="[A-Z]?[0-9]{6,10}", bare=None, near="medium", check=not_one_digit),),
        catches=("病歷號：1034567", "MRN 00482915", "患者番号 0012345"),
        spares=("1034567", "MRN 123", "病歷號 000000"),
    ),
    Detector(
        name="loinc_code",
        about="LOINC code of a laboratory test",
        source="LOINC users' guide, appendix C",
        checksum="Luhn",
        context={
            "en": ("loinc", "lab result", "laboratory", "specimen"),
            "zh-Hant": ("檢驗",),
            "zh-Hans": ("检验",),
            "ja": ("検査",),
        },
        shapes=(Shape(expression="[0-9]{3,5}-[0-9]", bare=None, near="medium", check=loinc, compact=False),),
        catches=("LOINC 2345-7", "檢驗項目 718-7"),
        spares=("LOINC 2345-8", "2345-7"),
    ),
)
