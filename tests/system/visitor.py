"""Somebody with a browser that runs no scripts: cookies, forms, redirects."""

from __future__ import annotations

import contextlib
import html
import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from patience import PATIENCE
from system.server import Installation

PASSWORD = "a stable with four horses"

_INPUT = re.compile(r"<input ([^>]*)>")
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Page:
    """A whole answer; headers that stand several times are kept apart."""

    status: int
    headers: list[tuple[str, str]]
    text: str

    def header(self, name: str) -> str | None:
        """Give the one value of a header."""
        found = self.every(name)
        assert len(found) <= 1, f"`{name}` stands {len(found)} times"
        return found[0] if found else None

    def every(self, name: str) -> list[str]:
        """Give all values of a header."""
        return [value for found, value in self.headers if found.lower() == name.lower()]

    @property
    def location(self) -> str | None:
        return self.header("location")

    @property
    def fields(self) -> dict[str, str]:
        """Give the fields of the page's forms as they stand."""
        found = {}
        for attributes in _INPUT.findall(self.text):
            named = dict(_ATTRIBUTE.findall(attributes))
            if "name" in named:
                found[named["name"]] = html.unescape(named.get("value", ""))
        return found


@dataclass(slots=True)
class Visitor:
    """A browser without scripts."""

    server: Installation
    source: str = "127.0.0.1"
    """Loopback address that it comes from."""
    host: str = ""
    """What it calls the server: host and port."""
    cookies: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.host = self.host or urlsplit(self.server.url).netloc

    def get(self, path: str, *, method: str = "GET", **headers: str) -> Page:
        """Open a page; redirects are not followed."""
        return self._send(method, path, None, headers)

    def post(self, path: str, fields: Mapping[str, str] | bytes, **headers: str) -> Page:
        """Send a form as a page of the site itself does; `headers` in snake case add to it.

        An empty value takes a header away.
        """
        body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        own = {
            "Origin": f"http://{self.host}",
            "Sec-Fetch-Site": "same-origin",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        given = {name.replace("_", "-").title(): value for name, value in headers.items()}
        sent = {name: value for name, value in {**own, **given}.items() if value}
        return self._send("POST", path, body, sent)

    def sign_in(
        self, name: str = "alice", password: str = PASSWORD, next: str = ""
    ) -> Page:
        """Send the form of the login page."""
        fields = {"username": name, "password": password, "next": next}
        return self.post("/login", fields)

    @property
    def signed_in(self) -> bool:
        """Whether the server takes it for somebody."""
        return self.get("/account").status == 200

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Page:
        connection = http.client.HTTPConnection(
            "127.0.0.1",
            self.server.public,
            timeout=PATIENCE,
            source_address=(self.source, 0),
        )
        with contextlib.closing(connection):
            sent = {"Host": self.host, **headers}
            if self.cookies:
                pairs = [f"{name}={value}" for name, value in self.cookies.items()]
                sent.setdefault("Cookie", "; ".join(pairs))
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            page = Page(answer.status, answer.getheaders(), answer.read().decode())
        self._keep(page.every("set-cookie"))
        return page

    def _keep(self, lines: list[str]) -> None:
        for line in lines:
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            if "Max-Age=0" in attributes:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value


def path_of(link: str) -> str:
    """Give the path of a link of ours."""
    return urlsplit(link).path


def set_up(server: Installation, name: str, password: str = PASSWORD) -> Visitor:
    """Add a user and set its login up; gives its browser, signed in."""
    link = server.ask("user", "add", name)["setup_link"]
    visitor = Visitor(server)
    assert visitor.post(path_of(link), {"password": password}).status == 303
    return visitor
