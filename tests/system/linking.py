"""Connecting an account at an upstream: the call that asks for it, and the link."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import requests

from patience import PATIENCE
from system.server import Answer, Installation


def call(
    front: Installation, token: str, *, urls: bool = True, connector: str = "desk"
) -> Answer:
    """Call a tool, as a client that can open addresses for its user, or cannot."""
    capabilities = {"elicitation": {"url": {}}} if urls else {}
    meta = {"io.modelcontextprotocol/clientCapabilities": capabilities}
    asked = {"name": "echo", "arguments": {"text": "hi"}, "_meta": meta}
    return front.call(token, "tools/call", asked, connector=connector)


def link_of(answer: Answer) -> str:
    """Give the address at which the user is asked to connect an account."""
    result = answer.json.get("result", {})
    assert result.get("resultType") == "input_required", (answer.status, answer.body)
    asked = result["inputRequests"]["bascule/link"]["params"]
    assert asked["mode"] == "url"
    return str(asked["url"])


def agree(browser: requests.Session, link: str) -> requests.Response:
    """Look at the page of a link, and agree to what it says.

    Where the link leads nowhere there is nothing to agree to, and the page is what comes.
    """
    page = browser.get(link, timeout=PATIENCE)
    shown = re.findall(r'name="shown" value="([0-9a-f]{64})"', page.text)
    if not shown:
        return page
    parts = urlsplit(link)
    own = {"Origin": f"{parts.scheme}://{parts.netloc}"}
    return browser.post(link, {"shown": shown[0]}, headers=own, timeout=PATIENCE)
