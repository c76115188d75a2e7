"""A tenant's own words: control documents of kind `template`, one per notice and language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.common.control_store import ControlStore
from services.common.errors import NotFound
from services.common.ids import TenantId
from services.common.notices.catalogue import CATALOGUE, LANGUAGES
from services.common.notices.template import Rendered, Template, built_in, check, language_of, render
from services.common.objects import ObjectStore

_KIND = "template"


@dataclass(frozen=True, slots=True)
class Stored:
    """The words in force of a notice in a language; `revision` 0: those that come with the system."""

    name: str
    language: str
    template: Template
    revision: int = 0


class Templates:
    """The words in force, read from the store each time. Raises `Unavailable`."""

    def __init__(self, objects: ObjectStore) -> None:
        self._store = ControlStore(objects)

    async def get(self, tenant: TenantId, name: str, language: str) -> Stored:
        """The words of one notice; raises `InvalidInput` for an unknown name."""
        language = language_of(language)
        document = await self._store.get(tenant, _KIND, f"{name}.{language}")
        own = _own(document.value) if document is not None else None
        if document is None or own is None:
            return Stored(name, language, built_in(name, language))
        return Stored(name, language, own, document.revision)

    async def list(self, tenant: TenantId) -> tuple[Stored, ...]:
        """Every notice in every language, the tenant's own words where it has some."""
        documents = {d.key: d for d in await self._store.list(tenant, _KIND)}
        found = []
        for name in sorted(CATALOGUE):
            for language in LANGUAGES:
                document = documents.get(f"{name}.{language}")
                own = _own(document.value) if document is not None else None
                revision = document.revision if document is not None and own is not None else 0
                found.append(Stored(name, language, own or built_in(name, language), revision))
        return tuple(found)

    async def set(self, tenant: TenantId, name: str, language: str, template: Template, *, actor: str) -> Stored:
        """Put a tenant's words in force; raises `InvalidInput` when `check` does. The same words again: a revision."""
        check(name, template)
        language = language_of(language)
        value = {"subject": template.subject, "text": template.text}
        document = await self._store.put(tenant, _KIND, f"{name}.{language}", value, expected=None, actor=actor)
        return Stored(name, language, template, document.revision)

    async def reset(self, tenant: TenantId, name: str, language: str, *, actor: str) -> Stored:
        """Go back to the words that come with the system; raises `NotFound` when they are in force, `Conflict`."""
        now = await self.get(tenant, name, language)
        if not now.revision:
            raise NotFound("these are the system's words already", public="these are the system's words already")
        await self._store.put(tenant, _KIND, f"{name}.{now.language}", None, expected=now.revision, actor=actor)
        return Stored(name, now.language, built_in(name, now.language))

    async def render(self, tenant: TenantId, name: str, language: str, fields: Mapping[str, str]) -> Rendered:
        """A notice in the tenant's words. Raises as `template.render`."""
        found = await self.get(tenant, name, language)
        return render(name, found.language, fields, found.template)


def _own(value: Mapping[str, object] | None) -> Template | None:
    if value is None:
        return None
    return Template(str(value.get("subject", "")), str(value.get("text", "")))
