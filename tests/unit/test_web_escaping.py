"""Every value that a page shows, as somebody chose it who means harm."""

from __future__ import annotations

import types
import typing
from dataclasses import fields, is_dataclass
from html.parser import HTMLParser

import pytest

from bascule.app.scan_page import ScanPage
from bascule.app.who_can_page import WhoCanPage
from bascule.authserver.account import AccountPage
from bascule.authserver.apps import AppsPage
from bascule.authserver.call_approval_pages import CallApprovalPage, CallApprovalsPage
from bascule.authserver.connections import ConnectionsPage
from bascule.authserver.consent import ConsentPage
from bascule.authserver.link_return import LinkedPage
from bascule.authserver.links import LinkPage
from bascule.authserver.login import LoginPage
from bascule.authserver.setup import SetupPage
from bascule.web.one_file import render_one_file
from bascule.web.render import ErrorPage, LeavePage, environment, render

PAGES = {
    "account.html": AccountPage,
    "apps.html": AppsPage,
    "call_approval.html": CallApprovalPage,
    "call_approvals.html": CallApprovalsPage,
    "connections.html": ConnectionsPage,
    "consent.html": ConsentPage,
    "error.html": ErrorPage,
    "leave.html": LeavePage,
    "link.html": LinkPage,
    "linked.html": LinkedPage,
    "login.html": LoginPage,
    "scan.html": ScanPage,
    "setup.html": SetupPage,
    "who-can.html": WhoCanPage,
}
ONE_FILE = {"scan", "who-can"}
"""Pages with a style sheet and a script of their own beside them."""
HARMLESS = "x"
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)',
    "</title><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "<!-- -->]]>&lt;b&gt;",
]


class Shape(HTMLParser):
    """The elements of a page, and the names of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))


def filled(kind: object, text: str) -> object:
    """Make a value of a type, with `text` wherever there is a text."""
    if kind is str:
        return text
    if kind is bool:
        return True
    if kind is int:
        return 7
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return arguments[0]
    if kind is float:
        return 7.5
    if origin is tuple and Ellipsis in arguments:
        return (filled(arguments[0], text),) * 2
    if origin is tuple:
        return tuple(filled(it, text) for it in arguments)
    if origin in {types.UnionType, typing.Union}:
        return filled(next(it for it in arguments if it is not type(None)), text)
    assert is_dataclass(kind)
    assert isinstance(kind, type)
    hints = typing.get_type_hints(kind)
    return kind(**{it.name: filled(hints[it.name], text) for it in fields(kind)})


def shape(template: str, text: str) -> list[tuple[str, tuple[str, ...]]]:
    page = filled(PAGES[template], text)
    name = template.removesuffix(".html")
    parsed = Shape()
    if name in ONE_FILE:
        parsed.feed(render_one_file(name, page))
    else:
        parsed.feed(bytes(render(template, page).body).decode())
    return parsed.elements


def test_every_template_is_tried() -> None:
    beside = {f"{name}.{kind}" for name in ONE_FILE for kind in ("css", "js")}
    assert {*environment().list_templates()} == {*PAGES, *beside, "base.html"}


@pytest.mark.parametrize("template", PAGES)
@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_changes_the_shape_of_a_page(template: str, text: str) -> None:
    assert len(shape(template, HARMLESS)) > 10
    assert shape(template, text) == shape(template, HARMLESS)
