"""Makes the mail that carries the sealed content, in threads: at most a few at once, whatever waits."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO

from services.common import mailedit
from services.common.errors import Rejected
from services.common.ids import TenantId
from services.common.notices import Rendered, Templates, language_of
from services.encryption.adapters import pdf, zip
from services.encryption.core import package, parts
from services.encryption.core.parts import Mail
from services.encryption.core.settings import at_google
from services.encryption.ports import Made, Sealing

_KANA = re.compile("[\u3041-\u30ff\uff66-\uff9f]")
_HAN = re.compile("[\u3400-\u9fff]")
_HINTS = {
    "agreed": {
        "en": "the one that you agreed with the sender's organisation",
        "zh-Hant": "您與寄件單位事先約定的密碼",
        "ja": "送信元の組織とあらかじめ取り決めたもの",
    },
    "random": {
        "en": "the sender gives it to you by another way",
        "zh-Hant": "寄件者會以其他方式告知您",
        "ja": "送信者が別の手段でお知らせします",
    },
}
_TAGS = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Ready:
    mail: Mail
    package: package.Package
    file: str
    language: str
    changed: str


class ThreadedPacker:
    """`Packer` over ZIP and PDF. Use as a context manager: leaving it waits for what is being made."""

    def __init__(
        self,
        templates: Templates,
        *,
        threads: int,
        google_domains: Sequence[str],
        language: Callable[[TenantId], str],
        largest: int,
    ) -> None:
        self._templates, self._google, self._language = templates, tuple(google_domains), language
        self._largest = largest
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="seal")

    def close(self) -> None:
        """Wait for what is being made; nothing more is begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def is_encrypted(self, raw: bytes) -> bool:
        """See the port."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, parts.is_encrypted_mail, raw)

    async def pack(self, sealing: Sealing) -> Made:
        """See the port."""
        if len(sealing.raw) > self._largest:
            raise Rejected("too large to be sealed", public="it is too large to be sealed", size=len(sealing.raw))
        loop = asyncio.get_running_loop()
        ready = await loop.run_in_executor(self._pool, self._arrange, sealing)
        words = await self._words(sealing.tenant, sealing, ready)
        return await loop.run_in_executor(self._pool, self._make, sealing, ready, words)

    def _arrange(self, sealing: Sealing) -> _Ready:
        edited = mailedit.apply_transforms(sealing.raw, sealing.changes)
        raw = edited.content if edited.changes else sealing.raw
        mail = parts.read(raw)
        google = at_google(sealing.secret.recipients, self._google)
        found = package.arrange(mail, raw, sealing.settings, google=google)
        file = "sealed.pdf" if sealing.settings.format == "pdf" else "sealed.zip"
        wanted = sealing.settings.language or self._language(sealing.tenant)
        language = language_of(wanted) if wanted else _spoken(mail)
        return _Ready(mail, found, file, language, edited.summary if sealing.changes else "")

    async def _words(self, tenant: TenantId, sealing: Sealing, ready: _Ready) -> Rendered:
        hint = _HINTS["agreed" if sealing.secret.agreed else "random"][ready.language]
        fields = {"sender": sealing.envelope.sender, "file": ready.file, "hint": hint, "mail_id": sealing.mail_id}
        return await self._templates.render(tenant, "sealed.cover", ready.language, fields)

    def _make(self, sealing: Sealing, ready: _Ready, words: Rendered) -> Made:
        settings, found = sealing.settings, ready.package
        if settings.format == "pdf":
            sealed, kind = _as_pdf(ready, sealing.secret.password), "application/pdf"
        else:
            sink = BytesIO()
            zip.write(sink, found.sealed, sealing.secret.password)
            sealed, kind = sink.getvalue(), "application/zip"
        content = package.cover(
            sealing.raw,
            words=(words.subject, words.text, words.html),
            attachment=sealed,
            file=ready.file,
            type=kind,
            beside=found.beside,
            hide_subject=settings.hide_subject,
            boundary=f"=_{secrets.token_hex(12)}",
        )
        manifest = {"format": settings.format, "agreed": bool(sealing.secret.agreed), **found.manifest()}
        reason = f"sealed as {settings.format.upper()}" + (f"; {ready.changed}" if ready.changed else "")
        return Made(content, reason, manifest)


def _as_pdf(ready: _Ready, password: str) -> bytes:
    mail = ready.mail
    fields = [("From", mail.sender), ("To", mail.to), ("Date", mail.date), ("Subject", mail.subject)]
    text = mail.text or _TAGS.sub(" ", mail.html)
    # The pages say what the index page and the text would; the HTML goes along, as the pages may show less of it.
    files = [package.Entry(e.name, e.content) for e in ready.package.sealed if e.name not in ("index.html", "1.txt")]
    return pdf.write(fields, text, files, password, language=ready.language)


def _spoken(mail: Mail) -> str:
    """The language of the cover where nobody said one: that of the mail."""
    sample = (mail.subject + mail.text + mail.html)[:20_000]
    if _KANA.search(sample):
        return "ja"
    return "zh-Hant" if _HAN.search(sample) else "en"
