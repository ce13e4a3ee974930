"""Errors that a page shows."""

from __future__ import annotations

from bascule.errors import BasculeError


class PageError(BasculeError):
    """Why there is no page, in words for whoever looks at it.

    `advice` goes onto the page: what to do now, in whole sentences, never a secret.
    """

    def __init__(
        self, status: int, title: str, advice: str, *, retry_after: int | None = None
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.advice = advice
        self.retry_after = retry_after
        """Seconds until the same may succeed."""
