"""When the keys of a foreign issuer are read, taken, kept and dropped; time is a number."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bascule.app.issuer_keys import (
    KEEP_SECONDS,
    MAX_UNKNOWN_KEY_SECONDS,
    UNKNOWN_KEY_SECONDS,
    USUAL_SECONDS,
    IssuerKeyReader,
)
from bascule.app.secrets import resolve_secret
from bascule.audit.writer import LogUnavailableError
from bascule.config.model import Config, Issuer
from bascule.gateway.callers import Callers
from bascule.gateway.issuers import ForeignIssuer, Issuers
from bascule.identity.keys import KeySet
from bascule.identity.revocation import Revocations
from bascule.storage.directory import Directory
from foreign import Signer, jwks, signer

FIRST, SECOND = signer("first", "ES256"), signer("second", "ES256")


@dataclass
class Log:
    """Keeps what is recorded, or cannot."""

    full: bool = False
    changes: list[Mapping[str, str]] = field(default_factory=list)

    async def event(
        self,
        type: str,
        *,
        peer: str | None,
        user: str | None = None,
        agent: str | None = None,
        agent_verified: bool = False,
        connector: str | None = None,
        admin: Mapping[str, str] | None = None,
    ) -> None:
        if self.full:
            raise LogUnavailableError("the disk is full")
        assert type == "issuer.keys"
        assert admin is not None
        self.changes.append(admin)

    def failed(self, reason: str, *, peer: str, user: str | None = None) -> bool:
        raise AssertionError("nobody failed")


class Provider(ThreadingHTTPServer):
    """Publishes documents, and counts how often they are asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.documents: dict[str, bytes] = {}
        self.asked: list[str] = []

    def publish(self, *signers: Signer, issuer: str | None = None) -> None:
        metadata = {"issuer": issuer or self.url, "jwks_uri": f"{self.url}/keys"}
        self.documents = {
            "/.well-known/openid-configuration": json.dumps(metadata).encode(),
            "/keys": jwks(*signers),
        }


class Answering(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        document = self.server.documents.get(self.path)
        self.send_response(404 if document is None else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(document or b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as made:
        made.publish(FIRST)
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


class Reader:
    """A reader at a time that is set."""

    def __init__(self, provider: Provider, **more: str) -> None:
        self.now = 1000.0
        self.log = Log()
        directory = Directory(1, {}, {}, Revocations([]))
        callers = Callers(KeySet([]), "https://us.example", directory, Issuers())
        self._reader = IssuerKeyReader(callers, self.log, resolve_secret, lambda: self.now)
        rules = Issuer(issuer=provider.url, audiences={"desk": "api://desk"}, **more)
        self._reader.configure(Config(issuers={"corp": rules}))
        (self.issuer,) = callers.issuers.every()

    def read(self, after: float = 0.0) -> ForeignIssuer:
        self.now += after
        asyncio.run(self._reader.read_due())
        return self.issuer


def knows(issuer: ForeignIssuer, of: Signer) -> bool:
    return issuer.keys is not None and issuer.keys.find(of.kid, of.algorithm) is not None


def test_keys_are_found_by_the_metadata_and_their_change_is_recorded(
    provider: Provider,
) -> None:
    reader = Reader(provider)
    assert knows(reader.read(), FIRST)
    provider.publish(SECOND)
    assert knows(reader.read(USUAL_SECONDS - 1), FIRST)
    issuer = reader.read(1)
    assert knows(issuer, SECOND)
    assert not knows(issuer, FIRST)
    prints = [it.key.thumbprint() for it in (FIRST, SECOND)]
    assert reader.log.changes == [
        {"issuer": provider.url, "added": prints[0], "removed": ""},
        {"issuer": provider.url, "added": prints[1], "removed": prints[0]},
    ]


@pytest.mark.parametrize("first", [None, b"{}", b"<html>", b'{"issuer": "https://x"}'])
def test_the_second_place_of_metadata_is_asked_when_the_first_has_none(
    provider: Provider, first: bytes | None
) -> None:
    document = provider.documents.pop("/.well-known/openid-configuration")
    provider.documents["/.well-known/oauth-authorization-server"] = document
    if first is not None:
        provider.documents["/.well-known/openid-configuration"] = first
    assert knows(Reader(provider).read(), FIRST)


def test_what_was_wrong_with_the_first_place_is_told(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.publish(FIRST, issuer="https://other.example")
    Reader(provider).read()
    assert "the metadata is of another issuer" in caplog.text


def test_a_configured_place_of_keys_needs_no_metadata(provider: Provider) -> None:
    reader = Reader(provider, jwks_uri=f"{provider.url}/keys")
    assert knows(reader.read(), FIRST)
    assert provider.asked == ["/keys"]


@pytest.mark.parametrize("issuer", ["https://evil.example", "http://127.0.0.1"])
def test_metadata_of_another_issuer_gives_no_keys(provider: Provider, issuer: str) -> None:
    provider.publish(FIRST, issuer=issuer)
    assert Reader(provider).read().keys is None


def test_keys_do_not_count_before_their_record_is_written(provider: Provider) -> None:
    reader = Reader(provider)
    reader.log.full = True
    assert reader.read().keys is None
    reader.log.full = False
    assert knows(reader.read(60), FIRST)


def test_keys_that_cannot_be_read_again_count_for_a_while(provider: Provider) -> None:
    reader = Reader(provider)
    reader.read()
    provider.documents.clear()
    issuer = reader.read(KEEP_SECONDS)
    assert knows(issuer, FIRST)
    assert not issuer.reachable
    assert reader.read(61).keys is None
    provider.publish(FIRST)
    assert knows(reader.read(60), FIRST)
    assert issuer.reachable


def test_a_failure_is_tried_again_less_and_less_often(provider: Provider) -> None:
    provider.documents.clear()
    reader = Reader(provider)
    asked = []
    for _ in range(300):
        before = len(provider.asked)
        reader.read(1)
        asked.append(len(provider.asked) > before)
    times = [second for second, it in enumerate(asked) if it]
    assert [after - before for before, after in itertools.pairwise(times)] == [
        *(1, 2, 4, 8, 16, 32),
        *[60] * 3,
    ]


def test_unknown_keys_have_the_keys_read_again_at_a_rate_that_falls(
    provider: Provider,
) -> None:
    reader = Reader(provider)
    issuer = reader.read()
    rate = UNKNOWN_KEY_SECONDS
    while rate < MAX_UNKNOWN_KEY_SECONDS:
        before = len(provider.asked)
        issuer.on_unknown_key()
        reader.read(rate - 1)
        assert len(provider.asked) == before
        issuer.on_unknown_key()
        reader.read(1)
        assert len(provider.asked) > before
        rate *= 2


def test_a_new_key_brings_the_rate_back(provider: Provider) -> None:
    reader = Reader(provider)
    issuer = reader.read()
    for _ in range(3):
        issuer.on_unknown_key()
        reader.read(100)
    provider.publish(FIRST, SECOND)
    issuer.on_unknown_key()
    assert knows(reader.read(100), SECOND)
    before = len(provider.asked)
    issuer.on_unknown_key()
    reader.read(UNKNOWN_KEY_SECONDS)
    assert len(provider.asked) > before
