"""Where passwords come from when no service keeps them."""

from __future__ import annotations

from collections.abc import Sequence

from services.common.ids import TenantId


class NoPasswords:
    """`Passwords` of an installation without a password book: only those that mails name are tried."""

    async def for_mail(self, tenant: TenantId, sender: str, recipients: Sequence[str]) -> Sequence[str]:
        """None."""
        return ()
