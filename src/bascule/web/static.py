"""Style sheet, scripts and icon, under addresses that change with their content."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOR_GOOD = "public, max-age=31536000, immutable"
"""A changed file has another address, so nobody needs to ask again."""


@cache
def _contents() -> dict[str, bytes]:
    folder = files("bascule.web") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@cache
def static_url(name: str) -> str:
    """Give the address of a file. Raises `KeyError` when there is none."""
    digest = hashlib.sha256(_contents()[name]).hexdigest()
    return f"/static/{digest[:16]}/{name}"


async def static_file(request: Request) -> Response:
    """`GET /static/{digest}/{name}`."""
    name = request.path_params["name"]
    if name not in _contents() or request.url.path != static_url(name):
        return PlainTextResponse("not found\n", 404)
    headers = {"Cache-Control": FOR_GOOD}
    _, dot, suffix = name.rpartition(".")
    return Response(
        _contents()[name], media_type=MEDIA_TYPES[dot + suffix], headers=headers
    )


STATIC_ROUTE = Route("/static/{digest}/{name}", static_file)
