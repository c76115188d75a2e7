"""The detectors there are, by name."""

from __future__ import annotations

from collections.abc import Mapping

from services.policy.core.detectors import Detector
from services.policy.core.detectors.payment_card import PAYMENT_CARD

DETECTORS: Mapping[str, Detector] = {d.name: d for d in (PAYMENT_CARD,)}
