"""Europe: bank accounts, value added tax, and people of eleven countries. The rules are those of python-stdnum."""

from __future__ import annotations

from stdnum import iban
from stdnum.be import nn
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.es import dni, nie
from stdnum.eu import vat
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.se import personnummer

from services.policy.core.detectors import Detector, Shape
from services.policy.core.detectors.checks import both, known, not_one_digit


def _account(value: str) -> bool:
    # Lists of banks age: a bank that they do not know may exist.
    return bool(iban.is_valid(value, check_country=False))


def _spanish(value: str) -> bool:
    return bool(dni.is_valid(value) or nie.is_valid(value))


EUROPE = (
    Detector(
        name="iban",
        about="international bank account number",
        source="ISO 13616; the registry's lengths and forms by country",
        checksum="ISO 7064 MOD 97-10",
        context={"en": ("iban", "account", "bank"), "de": ("konto",), "zh-Hant": ("帳號", "匯款"), "ja": ("口座",)},
        keep=4,
        shapes=(
            Shape(
                expression="[A-Z]{2}[0-9]{2}(?:~[A-Z0-9]){11,30}",
                bare="high",
                near="high",
                check=_account,
                caseless=True,
                width=140,
            ),
        ),
        catches=(
            "DE89370400440532013000",
            "IBAN: GB82 WEST 1234 5698 7654 32, thanks",
            "匯款至FR1420041010050500013M02606謝謝",
            "NL91 ABNA 0417 1643 00",
            "BE68-5390-0754-7034",
        ),
        spares=("DE89370400440532013001", "DE8937040044053201300", "XX89370400440532013000"),
    ),
    Detector(
        name="eu_vat",
        about="value added tax number of a member state",
        source="Council Directive 2006/112/EC; each state's form and checksum",
        checksum="each state's own",
        context={
            "en": ("vat", "tax"),
            "de": ("ust-id", "ustid", "umsatzsteuer", "mwst"),
            "fr": ("tva",),
            "it": ("partita iva", "p.iva"),
            "es": ("nif", "cif"),
            "nl": ("btw",),
            "pl": ("nip",),
            "sv": ("moms",),
        },
        shapes=(
            Shape(
                expression="(?:AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK)~U?[0-9A-Z]"
                "(?:~[0-9A-Z]){1,3}(?:~[0-9]){4,9}[A-Z0-9]{0,3}",
                bare="low",
                near="high",
                check=known(vat),
            ),
        ),
        catches=(
            "VAT DE136695976",
            "USt-IdNr. DE 136 695 976",
            "TVA FR83404833048",
            "BTW NL004495445B01",
            "VAT no. BE0403019261",
        ),
        spares=("VAT DE136695978", "VAT XX136695976", "DE136695976"),
    ),
    Detector(
        name="de_tax_id",
        about="Germany: tax identification number of a person",
        source="Abgabenordnung § 139b",
        checksum="ISO 7064 MOD 11,10",
        context={"de": ("steuer", "idnr", "tin"), "en": ("tax id", "tax number", "tin")},
        shapes=(Shape(run=True, expression="[1-9](?:~[0-9]){10}", bare="low", near="high", check=known(idnr)),),
        catches=("Steuer-ID 36 574 261 809", "IdNr. 36574261809"),
        spares=("Steuer-ID 36574261890", "36574261809", "Steuer-ID 36554266806"),
    ),
    Detector(
        name="fr_nir",
        about="France: social security number (NIR)",
        source="INSEE, numéro d'inscription au répertoire",
        checksum="modulo 97",
        context={"fr": ("sécurité sociale", "sécu", "nir", "insee"), "en": ("social security", "france")},
        shapes=(
            Shape(
                run=True,
                expression="[12378]~[0-9]{2}~[0-9]{2}~[0-9][0-9AB]~[0-9]{3}~[0-9]{3}~[0-9]{2}",
                bare="medium",
                near="high",
                check=known(nir),
            ),
        ),
        catches=("295109912611193", "sécurité sociale 2 95 10 99 126 111 93", "NIR 253072B07300470"),
        spares=("295109912611199", "25307207300470"),
    ),
    Detector(
        name="gb_nino",
        about="United Kingdom: national insurance number",
        source="HM Revenue and Customs, NIM39110: two letters, six digits, A to D",
        context={"en": ("national insurance", "nino", "ni number", "ni no", "insurance no")},
        shapes=(
            Shape(
                expression="[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]~[0-9]{2}~[0-9]{2}~[0-9]{2}~[A-D]",
                bare="medium",
                near="high",
                check=lambda v: v[:2].upper() not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"},
                caseless=True,
            ),
        ),
        catches=("AB123456C", "NI number: JG 10 37 59 A"),
        spares=("QQ123456C", "GB123456A", "AB123456E", "AB12345C"),
    ),
    Detector(
        name="gb_nhs_number",
        about="United Kingdom: NHS number",
        source="NHS Data Dictionary, NHS NUMBER",
        checksum="weighted sum, modulo 11",
        context={"en": ("nhs", "patient", "hospital")},
        shapes=(
            Shape(
                run=True,
                expression="[0-9]{3}~[0-9]{3}~[0-9]{4}",
                bare="low",
                near="high",
                check=both(known(nhs), not_one_digit),
            ),
        ),
        catches=("NHS number 943 476 5870", "patient 9434765870"),
        spares=("NHS number 943 476 5871", "943 476 5870"),
    ),
    Detector(
        name="it_codice_fiscale",
        about="Italy: tax code of a person",
        source="Ministerial decree of 23 December 1976",
        checksum="sum by place, modulo 26",
        context={"it": ("codice fiscale", "c.f."), "en": ("tax code", "fiscal code")},
        shapes=(
            Shape(
                expression="[A-Z]{6}~[0-9LMNP-V]{2}~[A-EHLMPRST][0-9LMNP-V]{2}~[A-Z][0-9LMNP-V]{3}~[A-Z]",
                bare="high",
                near="high",
                check=known(codicefiscale),
                caseless=True,
            ),
        ),
        catches=("RCCMNL83S18D969H", "codice fiscale: rccmnl83s18d969h"),
        spares=("RCCMNL83S18D969A", "RCCMNL83S18D969"),
    ),
    Detector(
        name="es_dni",
        about="Spain: DNI and NIE",
        source="Real Decreto 1553/2005",
        checksum="modulo 23, as a letter",
        context={"es": ("dni", "nie", "nif", "identidad"), "en": ("spanish id", "dni")},
        shapes=(
            Shape(
                run=True,
                expression="[0-9XYZ](?:~[0-9]){7}~[A-Z]",
                bare="medium",
                near="high",
                check=_spanish,
                caseless=True,
            ),
        ),
        catches=("54362315K", "DNI 54362315-K", "NIE X-2482300-W"),
        spares=("54362315Z", "5436231K", "X2482300A"),
    ),
    Detector(
        name="nl_bsn",
        about="Netherlands: citizen service number",
        source="Wet algemene bepalingen burgerservicenummer",
        checksum="weighted sum, modulo 11",
        context={"nl": ("burgerservicenummer", "bsn", "sofi"), "en": ("citizen service", "bsn")},
        shapes=(
            Shape(
                run=True,
                expression="[0-9](?:~[0-9]){8}",
                bare="low",
                near="high",
                check=both(known(bsn), not_one_digit),
            ),
        ),
        catches=("BSN 111222333", "burgerservicenummer 1112.22.333"),
        spares=("BSN 111252333", "111222333", "BSN 000000000"),
    ),
    Detector(
        name="be_national_number",
        about="Belgium: national number",
        source="Royal decree of 3 April 1984",
        checksum="modulo 97",
        context={
            "nl": ("rijksregister", "insz"),
            "fr": ("registre national", "niss"),
            "en": ("national number", "belgium"),
        },
        shapes=(
            Shape(
                run=True,
                expression=r"[0-9]{2}~[0-9]{2}~[0-9]{2}~[0-9]{3}~[0-9]{2}",
                bare="medium",
                near="high",
                check=known(nn),
            ),
        ),
        catches=("85.07.30-033 28", "rijksregisternummer 85073003328"),
        spares=("85.07.30-033 29", "8507300332"),
    ),
    Detector(
        name="pl_pesel",
        about="Poland: PESEL",
        source="Ustawa o ewidencji ludności, PESEL",
        checksum="weighted sum, modulo 10, with a real date of birth",
        context={"pl": ("pesel", "dowód"), "en": ("pesel", "poland")},
        shapes=(Shape(run=True, expression="[0-9](?:~[0-9]){10}", bare="low", near="high", check=known(pesel)),),
        catches=("PESEL 44051401359", "pesel: 02070803628"),
        spares=("PESEL 44051401358", "44051401359"),
    ),
    Detector(
        name="se_personal_number",
        about="Sweden: personal identity number",
        source="Folkbokföringslagen 1991:481, § 18",
        checksum="Luhn, with a real date of birth",
        context={"sv": ("personnummer", "pers.nr", "personnr"), "en": ("personal identity", "sweden", "swedish")},
        shapes=(
            Shape(
                expression="(?:[0-9]{2})?[0-9]{6}[-+][0-9]{4}",
                bare="medium",
                near="high",
                check=known(personnummer),
                compact=False,
            ),
            Shape(
                run=True, expression="(?:19|20)[0-9]{6}~[0-9]{4}", bare="low", near="high", check=known(personnummer)
            ),
        ),
        catches=("880320-0016", "personnummer 19880320-0016", "personnummer 198803200016"),
        spares=("880320-0018", "881320-0016"),
    ),
    Detector(
        name="fi_personal_code",
        about="Finland: personal identity code",
        source="Digital and Population Data Services Agency, henkilötunnus (separators of 2023 too)",
        checksum="modulo 31, as a letter, with a real date of birth",
        context={"fi": ("henkilötunnus", "hetu"), "en": ("personal identity code", "finnish", "hetu")},
        shapes=(
            Shape(
                expression="[0-3][0-9][01][0-9]{3}[-+A-FU-Y][0-9]{3}[0-9A-FHJ-NPR-Y]",
                bare="high",
                near="high",
                check=known(hetu),
                compact=False,
                caseless=True,
            ),
        ),
        catches=("131052-308T", "hetu: 131052-308T"),
        spares=("131052-308U", "310252-308Y", "131052/308T"),
    ),
    Detector(
        name="dk_cpr",
        about="Denmark: personal identification number (CPR)",
        source="CPR-kontoret: a real date of birth; the checksum is not binding since 2007",
        checksum="a real date of birth",
        context={"da": ("cpr", "personnummer"), "en": ("cpr", "danish")},
        shapes=(
            Shape(run=True, expression="[0-3][0-9][01][0-9]{3}~[0-9]{4}", bare="low", near="medium", check=known(cpr)),
        ),
        catches=("CPR 211062-5629", "cpr-nr. 2110625629"),
        spares=("CPR 511062-5629", "211062-5629"),
    ),
)
