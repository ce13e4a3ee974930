"""Headers, templates and files of pages."""

from __future__ import annotations

import dataclasses
import re
from importlib.resources import files

import pytest
from jinja2 import UndefinedError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message, Scope

from bascule.web.headers import SecurityHeaders, content_security_policy, form_target
from bascule.web.problem import PageError
from bascule.web.render import ErrorPage, environment, leave, render, render_error
from bascule.web.static import MEDIA_TYPES, STATIC_ROUTE, static_url

SOURCES = {
    name: (files("bascule.web") / "templates" / name).read_text()
    for name in environment().list_templates()
}
HOSTILE = "\"><script>alert(1)</script>'&{{7*7}}"


async def get(app: object, path: str) -> tuple[int, dict[str, str], bytes]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [],
    }
    await app(scope, receive, send)  # type: ignore[operator]
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(it["body"] for it in sent[1:])
    return sent[0]["status"], headers, body


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def bare(_: Request) -> Response:
    return PlainTextResponse("ok")


def application(url: str) -> SecurityHeaders:
    return SecurityHeaders(Starlette(routes=[Route("/", bare), STATIC_ROUTE]), url=url)


@pytest.mark.anyio
async def test_an_answer_that_sets_no_headers_has_the_strict_ones() -> None:
    _, headers, _ = await get(application("https://gate.example"), "/")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "publickey-credentials-get=(self)" in headers["permissions-policy"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://gate.example", True),
        ("https://gate.example:443", True),
        ("https://gate.example:8443", False),
        ("http://localhost:8420", False),
    ],
)
async def test_https_is_asked_for_only_where_the_host_is_ours_alone(
    url: str, sent: bool
) -> None:
    _, headers, _ = await get(application(url), "/")
    assert ("strict-transport-security" in headers) is sent


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["bascule.css", "bascule.svg"])
async def test_a_file_has_its_type_and_is_kept_for_good(name: str) -> None:
    status, headers, body = await get(application("http://localhost"), static_url(name))
    assert status == 200
    assert headers["content-type"] == MEDIA_TYPES[f".{name.rpartition('.')[2]}"]
    assert "immutable" in headers["cache-control"]
    assert body == (files("bascule.web") / "static" / name).read_bytes()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path",
    ["/static/0000000000000000/bascule.css", "/static/x/../render.py", "/static/x/none.js"],
)
async def test_a_file_has_one_address(path: str) -> None:
    status, headers, _ = await get(application("http://localhost"), path)
    assert status == 404
    assert headers["cache-control"] == "no-store"


def test_a_page_may_stand_in_no_frame_and_run_nothing_inline() -> None:
    policy = content_security_policy()
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self';" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy


def test_a_form_may_lead_where_it_was_said_to() -> None:
    policy = content_security_policy([form_target("https://Client.example/cb?x=1")])
    assert "form-action 'self' https://client.example;" in policy


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("https://client.example/cb", "https://client.example"),
        ("http://127.0.0.1:5000/cb", "http://127.0.0.1:5000"),
        ("http://[::1]:5000/cb", "http:"),
        ("com.example.app:/cb", "com.example.app:"),
        ("cursor://anything/cb", "cursor:"),
    ],
)
def test_the_target_of_a_form_is_an_origin_or_a_scheme(uri: str, target: str) -> None:
    assert form_target(uri) == target


@pytest.mark.parametrize(
    "uri", ["javascript:alert(1)", "data:text/html,x", "/path", "", "a b:/x", "x;y:/z"]
)
def test_what_is_no_place_to_lead_to_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="lead to"):
        form_target(uri)


@pytest.mark.parametrize(
    "source", ["https://a.example; script-src *", "*", "'self'", "a b:"]
)
def test_nothing_can_be_smuggled_into_a_policy(source: str) -> None:
    with pytest.raises(ValueError, match="source"):
        content_security_policy([source])


def test_everything_on_a_page_is_escaped() -> None:
    body = bytes(render_error(PageError(400, HOSTILE, HOSTILE)).body)
    assert b"<script" not in body
    assert b"{{7*7}}" in body
    body = bytes(leave(f"https://client.example/{HOSTILE}", host=HOSTILE).body)
    assert b"<script" not in body
    assert b'"><' not in body


def test_a_name_that_does_not_exist_is_an_error() -> None:
    @dataclasses.dataclass(frozen=True)
    class Half:
        title: str

    with pytest.raises(UndefinedError):
        render("error.html", Half("x"))
    with pytest.raises(UndefinedError):
        environment().from_string("{{ request }}").render(page=None)


def test_a_page_has_the_status_and_the_time_to_wait_of_its_error() -> None:
    response = render_error(PageError(429, "Too fast", "Wait.", retry_after=30))
    assert response.status_code == 429
    assert response.headers["retry-after"] == "30"


def test_a_form_of_a_page_is_sent_with_its_origin() -> None:
    """With `no-referrer` browsers would send `Origin: null`."""
    response = render("error.html", ErrorPage("x", "y"))
    assert response.headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("name", SOURCES)
def test_a_template_switches_no_protection_off(name: str) -> None:
    source = SOURCES[name]
    assert "|safe" not in source.replace(" ", "")
    assert "autoescape" not in source
    assert re.findall(r"=\s*{{", source) == [], "an attribute without quotes"
    assert re.findall(r"\s(?:on\w+|style)=", source) == [], "inline script or style"
    assert re.findall(r"<style|<script(?![^>]*\bsrc=)|javascript:", source) == []
