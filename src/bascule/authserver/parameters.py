"""Parameters of OAuth requests, from queries and forms."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request

from bascule.authserver.errors import InvalidRequestError

MEDIA_TYPE = "application/x-www-form-urlencoded"
MAX_BYTES = 64 << 10
MAX_FIELDS = 64
MAX_VALUE_CHARACTERS = 16 << 10


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a client sent."""

    values: dict[str, str]
    """By name; those without a value are left out (RFC 6749 §3.1)."""
    resources: tuple[str, ...]
    """Values of `resource`, the one parameter that may be repeated (RFC 8707 §2)."""

    def get(self, name: str) -> str | None:
        """Give a value, None when it was not sent."""
        return self.values.get(name)

    def require(self, name: str) -> str:
        """Give a value. Raises `InvalidRequestError` when it was not sent."""
        value = self.values.get(name)
        if value is None:
            raise InvalidRequestError(f"`{name}` is missing")
        return value


def parse(text: bytes) -> Parameters:
    """Read a query or form. Raises `InvalidRequestError`, and nothing else, for any bytes.

    A parameter that is sent twice has no meaning (RFC 6749 §3.1). One with U+0000 has none
    either, and PostgreSQL keeps no such text.
    """
    if len(text) > MAX_BYTES:
        raise InvalidRequestError("the request is too large")
    try:
        pairs = parse_qsl(
            text.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=MAX_FIELDS,
            errors="strict",
        )
    except ValueError as exc:
        raise InvalidRequestError("the parameters cannot be read") from exc
    values: dict[str, str] = {}
    resources = []
    seen = set()
    for name, value in pairs:
        if "\0" in name + value:
            raise InvalidRequestError("a parameter holds a character that no text has")
        if name == "resource":
            resources.append(value)
            continue
        if name in seen:
            raise InvalidRequestError("a parameter stands twice")
        seen.add(name)
        if len(value) > MAX_VALUE_CHARACTERS:
            raise InvalidRequestError("a parameter is too long")
        if value:
            values[name] = value
    return Parameters(values, tuple(it for it in resources if it))


async def form_of(request: Request) -> Parameters:
    """Read the body of a POST. Raises `InvalidRequestError`."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != MEDIA_TYPE:
        raise InvalidRequestError(f"send the parameters as {MEDIA_TYPE}")
    return parse(await request.body())


def query_of(request: Request) -> Parameters:
    """Read the query of a GET. Raises `InvalidRequestError`."""
    return parse(request.scope["query_string"])
