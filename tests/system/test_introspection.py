"""Opaque tokens of a certified provider, which is asked about each of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from foreign import Signer, signer
from patience import until
from ports import free_ports
from system.provider import CLIENT, SECRET, Provider, providing
from system.recorder import Recorder
from system.server import Installation, install

ATTEMPTS = 12
"""Of connections, which the kernel spreads over two processes."""
ISSUER = """
[issuers.corp]
issuer = "{url}"
audiences = {{ desk = "api://desk" }}
[issuers.corp.introspection]
endpoint = "{url}/token/introspection"
client_id = "{client}"
client_secret = "file:{secret}"
cache_seconds = 1
[roles.corporate]
members = ["user:{url}|alice"]
allow = ["desk/*"]
[agents.ceilings]
"{url}|agent-7" = ["desk/*"]
"""


@dataclass(slots=True)
class Site:
    bascule: Installation
    folder: Path
    port: int
    key: Signer

    def answers(self, token: str) -> set[int]:
        """Give the statuses that a token has at all processes."""
        calls = (self.bascule.call(token, "tools/list") for _ in range(ATTEMPTS))
        return {answer.status for answer in calls}

    def providing(self) -> contextlib.AbstractContextManager[Provider]:
        return providing(self.folder, self.port, self.key, tokens="opaque")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("opaque")
    (port,) = free_ports(1)
    secret = folder / "corp-secret"
    secret.touch(0o600)
    secret.write_text(SECRET)
    url = f"http://127.0.0.1:{port}"
    more = ISSUER.format(url=url, client=CLIENT, secret=secret)
    bascule = install(folder / "site", recorder, more=more)
    bascule.start("--workers", "2")
    try:
        yield Site(bascule, folder, port, signer("first", "RS256"))
    finally:
        bascule.kill()


def test_an_opaque_token_lives_as_long_as_its_issuer_says(
    site: Site, recorder: Recorder
) -> None:
    bascule = site.bascule
    with site.providing() as provider:
        token, id_token = provider.login("alice", "api://desk", "mcp:desk")
        assert token.count(".") == 0
        recorder.take()
        assert bascule.tool(token, "echo", text="hello").status == 200
        (request,) = recorder.take()
        assert token.encode() not in request.raw
        user = f"user:{provider.url}|alice"
        assert bascule.wait_for_records("--user", user, "--type", "call.start")
        assert bascule.call("nonsense-of-nobody", "tools/list").status == 401
        assert bascule.call(id_token, "tools/list").status == 401
        assert bascule.call(token, "tools/list", connector="annex").status == 401
        other, _ = provider.login("alice", "api://desk", "mcp:desk")
        provider.revoke(other)
        assert bascule.call(other, "tools/list").status == 401
        provider.revoke(token)
        until(lambda: bascule.call(token, "tools/list").status == 401)
        kept, _ = provider.login("alice", "api://desk", "mcp:desk")
        assert bascule.call(kept, "tools/list").status == 200
    # Nothing is known of any token now, which is not to say that it is invalid.
    until(lambda: bascule.call(kept, "tools/list").status == 503)
    unknown = bascule.call("nonsense-of-nobody-else", "tools/list")
    assert unknown.status == 503
    assert "www-authenticate" not in unknown.headers
    assert bascule.call(bascule.token(), "tools/list").status == 200
    with site.providing():
        until(lambda: bascule.call(kept, "tools/list").status == 401)  # it forgot all


def test_a_stream_ends_with_its_token(site: Site) -> None:
    with site.providing() as provider:
        token, _ = provider.login("alice", "api://desk", "mcp:desk")
        with site.bascule.stream(
            token, "tools/call", {"name": "opens", "arguments": {}}
        ) as stream:
            stream.expect()
            provider.revoke(token)
            assert stream.next() is None


def test_a_revocation_here_ends_a_token_that_its_issuer_vouches_for_at_each_process(
    site: Site,
) -> None:
    with site.providing() as provider:
        token, _ = provider.login("alice", "api://desk", "mcp:desk")
        assert site.answers(token) == {200}
        user = f"user:{provider.url}|alice"
        site.bascule.ask("revoke", "--user", user, "--reason", "a test")
        until(lambda: site.answers(token) == {401})
        # Its issuer knows nothing of that; what it gives from now on is good again.
        until(lambda: site.answers(later(provider)) == {200})
        assert site.answers(token) == {401}


def later(provider: Provider) -> str:
    return provider.login("alice", "api://desk", "mcp:desk")[0]
