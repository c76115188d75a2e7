"""Notices: the words that people get from this system, as data by name and language, and the mail around them.

`catalogue.py` names each notice and the fields its words may use, one module per language has the words, and a tenant
may put its own in their place (`Templates`). Fields are plain text: they never become markup, a header or a
placeholder.
"""

from services.common.notices.catalogue import CATALOGUE, DEFAULT_LANGUAGE, LANGUAGES, Kind
from services.common.notices.mail import build
from services.common.notices.template import Rendered, Template, check, language_of, render
from services.common.notices.tenants import Stored, Templates

__all__ = [
    "CATALOGUE",
    "DEFAULT_LANGUAGE",
    "LANGUAGES",
    "Kind",
    "Rendered",
    "Stored",
    "Template",
    "Templates",
    "build",
    "check",
    "language_of",
    "render",
]
