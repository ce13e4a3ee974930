"""The load and the upstream behind it."""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule.bench import load, request
from bascule.bench.processes import cpu_seconds, running, tree
from bascule.bench.targets import free_port
from bascule.bench.tools import find_tools
from bascule.protocol import modern
from bascule.protocol.message import Request, parse

BAD_SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = sys.argv[3].encode()
        self.send_response(int(sys.argv[2]))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
WRK = [find_tools(os.environ["PATH"], packaged="unused").wrk]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def upstream(port: int, tmp_path: Path) -> Iterator[int]:
    command = [sys.executable, "-m", "bascule.bench.upstream", str(port)]
    with running(command, log=tmp_path / "log", environment=os.environ) as process:
        wait_for(port)
        yield process.pid


def wait_for(port: int) -> None:
    """Ask until somebody answers, whatever the answer."""
    while True:
        try:
            load.check_answer(port, "token")
        except ConnectionRefusedError:
            continue
        except load.BadAnswerError:
            pass
        return


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "load.lua"
    path.write_text(load.script("token"))
    return path


def test_the_request_keeps_to_the_revision() -> None:
    message = parse(request.BODY, max_depth=64)
    assert isinstance(message, Request)
    headers = {name.lower(): value.encode() for name, value in request.HEADERS.items()}
    modern.check(
        message,
        modern.MirrorHeaders(
            version=headers["mcp-protocol-version"],
            method=headers["mcp-method"],
            name=headers["mcp-name"],
        ),
    )


@pytest.mark.usefixtures("upstream")
def test_every_answer_is_counted_and_timed(port: int, script: Path) -> None:
    seen = load.run_wrk(WRK, script, port, connections=2, seconds=1)
    assert seen.requests > 0
    assert 0 < seen.p50_us <= seen.p99_us
    assert seen.rps > 0


def test_the_upstream_spends_cpu_time_that_is_seen(
    upstream: int, port: int, script: Path
) -> None:
    before = cpu_seconds(upstream)
    load.run_wrk(WRK, script, port, connections=8, seconds=1)
    assert cpu_seconds(upstream) > before
    assert upstream in tree(os.getpid())


@pytest.mark.usefixtures("upstream")
def test_each_token_of_a_list_is_sent_once(port: int, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("\n".join(str(number) for number in range(300)))
    path = tmp_path / "cold.lua"
    path.write_text(load.script_of_many(tokens))
    seen = load.run_wrk(WRK, path, port, connections=4, seconds=1)
    assert 290 <= seen.requests <= 300  # the last ones are cut off on their way


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("500", "{}"),
        ("403", "{}"),
        ("200", "{}"),
        ("200", "nothing"),
        ("200", '{"id":8,"result":{"content":[]}}'),
    ],
)
def test_a_target_that_answers_wrongly_is_refused_before_the_load(
    port: int, tmp_path: Path, status: str, body: str
) -> None:
    command = [sys.executable, "-c", BAD_SERVER, str(port), status, body]
    with running(command, log=tmp_path / "log", environment=os.environ):
        wait_for(port)
        with pytest.raises(load.BadAnswerError, match=status):
            load.check_answer(port, "token")


def test_a_load_with_refusals_gives_no_figures(
    port: int, tmp_path: Path, script: Path
) -> None:
    command = [sys.executable, "-c", BAD_SERVER, str(port), "403", "{}"]
    with running(command, log=tmp_path / "log", environment=os.environ):
        wait_for(port)
        with pytest.raises(load.BadAnswerError, match="failures"):
            load.run_wrk(WRK, script, port, connections=1, seconds=1)


@pytest.mark.usefixtures("upstream")
@pytest.mark.parametrize("name", ["1", '"a"', "9007199254740993"])
def test_the_upstream_answers_with_the_id_that_it_was_sent(port: int, name: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/mcp", f'{{"params":{{"id":0}},"id":{name}}}')
    answer = connection.getresponse().read().decode()
    connection.close()
    assert answer.startswith(f'{{"jsonrpc":"2.0","id":{name},"result":')
