"""The fetcher against real TLS servers on loopback that answer as they please."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.net.addresses import is_public
from bascule.net.answer import Answer
from bascule.net.fetch import USER_AGENT, Fetched, FetchError, FetchPolicy, fetch
from certificates import Authority, new_authority

JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
GOOD = JSON + b"Content-Length: 2\r\n\r\n{}"


@dataclass
class Site:
    """A server that gives every request the same bytes, and keeps what it was asked."""

    answer: bytes = GOOD
    then: str = "close"
    """After the answer: `close`, `wait` for the client, or `drip` a byte at a time."""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        try:
            await self._answer(reader, writer)
        finally:
            if self.then == "close":
                writer.close()
            else:
                writer.transport.abort()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            await writer.drain()
            while self.then == "drip" and not reader.at_eof():
                writer.write(b" ")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 0.02)
            if self.then == "wait":
                await reader.read()


@contextlib.contextmanager
def served(site: Site, tls: ssl.SSLContext | None) -> Iterator[Site]:
    """Run a site in a thread."""
    ready, loops = threading.Event(), []
    stop = asyncio.Event()

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        server = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=tls)
        site.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(10)
    try:
        yield site
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return new_authority()


@pytest.fixture
def site(authority: Authority, tmp_path: Path) -> Iterator[Site]:
    with served(Site(), authority.server(tmp_path, "site.example")) as made:
        yield made


@dataclass
class Names:
    """A resolver with a script: each lookup takes the next answer, the last for ever."""

    answers: list[list[str]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


def loopback_as_public(address: str) -> bool:
    """Take 127.0.0.1 for an address of the internet, and 127.0.0.2 for no one's."""
    return address in {"127.0.0.1", "127.0.0.3"} or is_public(address)


@pytest.fixture
def policy(authority: Authority) -> FetchPolicy:
    return FetchPolicy(
        resolver=Names([["127.0.0.1"]]),
        allows=loopback_as_public,
        trust=authority.trust,
        max_bytes=1000,
        seconds=10,
    )


def get(site: Site, policy: FetchPolicy, path: str = "/client.json") -> Fetched:
    return asyncio.run(fetch(f"https://site.example:{site.port}{path}", policy))


def refused(site: Site, policy: FetchPolicy) -> str:
    with pytest.raises(FetchError) as caught:
        get(site, policy)
    return str(caught.value)


def test_a_good_answer_arrives(site: Site, policy: FetchPolicy) -> None:
    site.answer = JSON + b"Cache-Control: max-age=60\r\nContent-Length: 2\r\n\r\n{}"
    assert get(site, policy) == Fetched(b"{}", "application/json", 60)


def test_the_request_says_who_asks_and_nothing_else(
    site: Site, policy: FetchPolicy
) -> None:
    get(site, policy, "/a/client.json?v=1")
    head = site.requests[0].decode()
    assert head.splitlines()[:-1] == [
        "GET /a/client.json?v=1 HTTP/1.1",
        f"Host: site.example:{site.port}",
        f"User-Agent: {USER_AGENT}",
        "Accept: application/json",
        "Accept-Encoding: identity",
        "Connection: close",
    ]
    assert USER_AGENT.startswith("bascule-probe/")


def test_the_end_of_the_connection_ends_an_answer_without_a_length(
    site: Site, policy: FetchPolicy
) -> None:
    site.answer = JSON + b"\r\n{}"
    assert get(site, policy).body == b"{}"


def test_an_answer_without_a_type_is_taken_where_that_is_wanted(
    site: Site, policy: FetchPolicy
) -> None:
    site.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    wanted = frozenset({"application/json", ""})
    assert get(site, replace(policy, media_types=wanted)).media_type == ""
    assert b"Accept: application/json\r\n" in site.requests[0]


def test_pieces_and_interim_answers_make_one(site: Site, policy: FetchPolicy) -> None:
    site.answer = (
        b"HTTP/1.1 103 Early Hints\r\nContent-Type: text/html\r\n\r\n"
        + JSON
        + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    )
    assert get(site, policy).body == b"{}"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n",
        b"HTTP/1.1 301 Moved\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 307 Again\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        GOOD.replace(b"200 OK", b"206 Partial Content"),
        GOOD.replace(b"200 OK", b"404 Not Found"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\n{}",
        JSON + b"Content-Type: text/html\r\nContent-Length: 2\r\n\r\n{}",
        JSON + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        JSON + b"Content-Length: 9\r\n\r\n{}",
        JSON + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        JSON + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"canary of an old protocol\r\n",
        b"",
        GOOD + GOOD,
    ],
)
def test_no_other_answer_is_taken_or_repeated(
    site: Site, policy: FetchPolicy, answer: bytes
) -> None:
    site.answer = answer
    assert "canary" not in refused(site, policy)
    assert site.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        JSON + b"Content-Length: 1001\r\n\r\n",  # said, and not even sent
        JSON + b"Transfer-Encoding: chunked\r\n\r\n" + (b"1f4\r\n%500d\r\n" % 0) * 3,
        JSON + b"\r\n" + b" " * 1001,
        JSON + b"X: " + b"x" * (17 << 10),
        b"HTTP/1.1 100 Continue\r\n\r\n" * 2000,
        b"x" * (17 << 10),
    ],
)
def test_an_answer_that_is_too_large_is_cut_while_it_comes(
    site: Site, policy: FetchPolicy, answer: bytes
) -> None:
    site.answer, site.then = answer, "wait"
    assert re.search("too large|not valid", refused(site, policy))


def test_a_body_that_drips_is_cut_at_the_deadline(site: Site, policy: FetchPolicy) -> None:
    site.answer, site.then = JSON + b"Content-Length: 900\r\n\r\n", "drip"
    assert "longer than 0.3 s" in refused(site, replace(policy, seconds=0.3))


def test_a_site_that_says_nothing_is_left_at_the_deadline(
    site: Site, policy: FetchPolicy
) -> None:
    site.answer, site.then = b"", "wait"
    assert "longer than 0.3 s" in refused(site, replace(policy, seconds=0.3))


def test_a_name_server_that_says_nothing_is_left_at_the_deadline(
    site: Site, policy: FetchPolicy
) -> None:
    async def silent(_host: str, _port: int) -> list[str]:
        await asyncio.get_running_loop().create_future()
        return []

    assert "longer" in refused(site, replace(policy, resolver=silent, seconds=0.3))


def test_a_name_is_looked_up_once_and_never_again(site: Site, policy: FetchPolicy) -> None:
    """DNS rebinding: the second answer would be a private address."""
    names = Names([["127.0.0.1"], ["127.0.0.2"]])
    get(site, replace(policy, resolver=names))
    assert names.asked == ["site.example"]
    assert "private address" in refused(site, replace(policy, resolver=names))
    assert site.connections == 1


@pytest.mark.parametrize("found", [["127.0.0.1", "10.0.0.1"], ["::ffff:10.0.0.1"]])
def test_a_name_with_a_private_address_is_never_connected_to(
    site: Site, policy: FetchPolicy, found: list[str]
) -> None:
    assert "private address" in refused(site, replace(policy, resolver=Names([found])))
    assert site.connections == 0


def test_the_next_address_is_tried_when_the_first_is_deaf(
    site: Site, policy: FetchPolicy
) -> None:
    names = Names([["127.0.0.3", "127.0.0.1"]])
    assert get(site, replace(policy, resolver=names)).body == b"{}"


@pytest.mark.parametrize("names", [["other.example"], ["127.0.0.1"], ["*.example.example"]])
def test_a_certificate_for_another_name_is_refused(
    authority: Authority, policy: FetchPolicy, tmp_path: Path, names: list[str]
) -> None:
    with served(Site(), authority.server(tmp_path, *names)) as site:
        assert "TLS failed" in refused(site, policy)
        assert site.requests == []


def test_an_expired_certificate_is_refused(
    authority: Authority, policy: FetchPolicy, tmp_path: Path
) -> None:
    tls = authority.server(tmp_path, "site.example", expired=True)
    with served(Site(), tls) as site:
        assert "TLS failed" in refused(site, policy)


def test_a_certificate_of_an_unknown_authority_is_refused(
    site: Site, policy: FetchPolicy
) -> None:
    assert "TLS failed" in refused(site, replace(policy, trust=new_authority().trust))


def test_a_redirect_is_told_as_one(site: Site, policy: FetchPolicy) -> None:
    site.answer = b"HTTP/1.1 302 Found\r\nLocation: https://169.254.169.254/\r\n\r\n"
    assert refused(site, policy) == "status 302: redirects are not followed"


def test_a_site_that_is_not_there_is_told(policy: FetchPolicy) -> None:
    assert refused(Site(port=1), policy) == "the host cannot be reached"


def test_a_site_without_tls_is_refused(policy: FetchPolicy) -> None:
    with served(Site(), None) as site:
        refused(site, replace(policy, seconds=0.3))
        assert site.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://site.example/",
        "http://127.0.0.1/",
        "http://localhost/",
        "ftp://site.example/",
        "file:///etc/passwd",
        "//site.example/",
        "https:///client.json",
        "https://user@site.example/",
        "https://:pw@site.example/",
        "https://@site.example/",
        "https://site.example\\@127.0.0.1/",
        "https://site.example:99999/",
        "https://site.example:0/",
        "https://site.example/a b",
        "https://site.example/a\r\nX: y",
        "https://site.example/\u00e9",
        "https://s\u00eete.example/",
        "https://site.example/" + "a" * 2048,
    ],
)
def test_no_other_url_is_fetched(policy: FetchPolicy, url: str) -> None:
    names = Names([["127.0.0.1"]])
    with pytest.raises(FetchError, match="the URL must"):
        asyncio.run(fetch(url, replace(policy, resolver=names)))
    assert names.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_needs_no_tls_where_the_operator_wrote_it(
    host: str, policy: FetchPolicy
) -> None:
    policy = replace(FetchPolicy(), max_bytes=1000)
    with served(Site(), None) as site:
        url = f"http://{host}:{site.port}/"
        with pytest.raises(FetchError, match="must be https"):
            asyncio.run(fetch(url, policy))
        assert asyncio.run(fetch(url, replace(policy, loopback=True))).body == b"{}"


@given(st.lists(st.binary(min_size=1)))
def test_any_bytes_are_an_answer_or_a_problem(pieces: list[bytes]) -> None:
    answer = Answer(max_bytes=100, media_types=frozenset({"application/json"}))
    for piece in pieces:
        if not (answer.complete or answer.problem):
            answer.feed(piece)
    if not (answer.complete or answer.problem):
        answer.feed(b"")
    assert answer.complete or answer.problem


@given(st.lists(st.integers(0, len(GOOD)), max_size=5))
def test_an_answer_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    answer = Answer(max_bytes=2, media_types=frozenset({"application/json"}))
    edges = [0, *sorted(set(cuts) - {0, len(GOOD)}), len(GOOD)]
    for start, end in itertools.pairwise(edges):
        answer.feed(GOOD[start:end])
    assert answer.complete
    assert answer.problem == ""
    assert answer.body == b"{}"
