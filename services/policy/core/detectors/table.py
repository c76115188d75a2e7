"""The detectors there are, by name."""

from __future__ import annotations

from collections.abc import Mapping

from services.policy.core.detectors import Detector
from services.policy.core.detectors.asia import ASIA
from services.policy.core.detectors.china import CHINA
from services.policy.core.detectors.contact import CONTACT
from services.policy.core.detectors.documents import DOCUMENTS
from services.policy.core.detectors.europe import EUROPE
from services.policy.core.detectors.japan import JAPAN
from services.policy.core.detectors.medical import MEDICAL
from services.policy.core.detectors.payment_card import PAYMENT_CARD
from services.policy.core.detectors.secrets import SECRETS
from services.policy.core.detectors.taiwan import TAIWAN
from services.policy.core.detectors.usa import USA
from services.policy.core.detectors.wallets import WALLETS

FAMILIES: Mapping[str, tuple[Detector, ...]] = {
    "cards": (PAYMENT_CARD,),
    "contact": CONTACT,
    "taiwan": TAIWAN,
    "japan": JAPAN,
    "china": CHINA,
    "asia": ASIA,
    "europe": EUROPE,
    "usa": USA,
    "medical": MEDICAL,
    "secrets": SECRETS,
    "wallets": WALLETS,
    "documents": DOCUMENTS,
}
"""One file each."""

DETECTORS: Mapping[str, Detector] = {d.name: d for family in FAMILIES.values() for d in family}
