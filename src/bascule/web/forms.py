"""Forms as browsers send them."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from bascule.web.problem import PageError

MEDIA_TYPE = "application/x-www-form-urlencoded"
MAX_BYTES = 64 << 10
MAX_FIELDS = 64


async def form_of(request: Request) -> Mapping[str, str]:
    """Give the fields of a form. Raises `PageError`."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != MEDIA_TYPE:
        raise PageError(415, "This is no form", f"Send it as {MEDIA_TYPE}.")
    body = await request.body()
    if len(body) > MAX_BYTES:
        raise PageError(413, "The form is too large", "Go back and shorten what you wrote.")
    return parse_form(body)


def parse_form(body: bytes) -> Mapping[str, str]:
    """Read a form; a field that stands twice has no meaning. Raises `PageError`.

    Nor has one with U+0000, which nobody types and PostgreSQL does not keep.
    """
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=MAX_FIELDS,
            errors="strict",
        )
    except ValueError as exc:
        raise PageError(400, "The form cannot be read", "Go back and try again.") from exc
    if any("\0" in name + value for name, value in pairs):
        raise PageError(400, "The form cannot be read", "Go back and try again.")
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise PageError(400, "The form has a field twice", "Go back and try again.")
    return fields
