"""Load: `wrk` on one thread with kept connections, and one checked answer before it."""

from __future__ import annotations

import http.client
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bascule.bench.request import (
    BODY,
    FRESH,
    HEADERS,
    LIST_BODY,
    LIST_HEADERS,
    LISTED_TOOLS,
    PATH,
    REQUEST_ID,
    TOOL,
)
from bascule.bench.upstream import TEXT
from bascule.clock import monotonic
from bascule.errors import BasculeError

_REPORT = "BENCH "


class BadAnswerError(BasculeError):
    """A target did not answer as the upstream does, so its figures would mean nothing."""


class Load(msgspec.Struct, frozen=True):
    """What `wrk` saw; times in microseconds."""

    requests: int
    duration_us: int
    failures: int
    """Answers of 400 and above, connections that failed, requests that timed out."""
    p50_us: float
    p99_us: float

    @property
    def rps(self) -> float:
        """Requests a second."""
        return self.requests / (self.duration_us / 1e6)


_load = msgspec.json.Decoder(Load)


def run_wrk(
    program: Sequence[str], script: Path, port: int, *, connections: int, seconds: int
) -> Load:
    """Send a script's requests for some seconds.

    Raises `BadAnswerError` unless every answer was a good one.
    """
    command = [
        *program,
        *("-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"),
        *("-s", str(script), f"http://127.0.0.1:{port}{PATH}"),
    ]
    result = subprocess.run(  # noqa: S603 - our own words, no shell
        command, capture_output=True, text=True, timeout=seconds + 20, check=False
    )
    _, found, report = result.stdout.rpartition(_REPORT)
    if result.returncode or not found:
        raise BasculeError(f"wrk failed: {(result.stderr or result.stdout).strip()}")
    load = _load.decode(report)
    if load.failures or not load.requests:
        raise BadAnswerError(
            f"{load.failures} failures beside {load.requests} answers on port {port}"
        )
    return load


def script(token: str) -> str:
    """Write a script for `wrk` that sends the same request with the same token."""
    return f'{_SAME}wrk.headers["Authorization"] = {_lua("Bearer " + token)}\n{_DONE}'


def script_of_many(tokens: Path) -> str:
    """Write a script that sends each token of a file, one a line, once, and then ends."""
    return f"""\
{_SAME}
local tokens, used = {{}}, 0
function init()
  for line in io.lines({_lua(str(tokens))}) do tokens[#tokens + 1] = "Bearer " .. line end
end
function request()
  used = math.min(used + 1, #tokens)
  if used == #tokens then wrk.thread:stop() end
  wrk.headers["Authorization"] = tokens[used]
  return wrk.format()
end
{_DONE}"""


def script_of_new_names(token: str) -> str:
    """Write a script whose every request calls a tool of another name."""
    before, after = BODY.decode().split(f'"{TOOL}"')
    return f"""\
{_SAME}
wrk.headers["Authorization"] = {_lua("Bearer " + token)}
local number = 0
function request()
  number = number + 1
  local name = {_lua(FRESH)} .. number
  wrk.headers["Mcp-Name"] = name
  return wrk.format(nil, nil, nil, {_lua(before + '"')} .. name .. {_lua('"' + after)})
end
{_DONE}"""


def script_of_lists(token: str) -> str:
    """Write a script that asks for the list of tools."""
    headers = {**LIST_HEADERS, "Authorization": f"Bearer {token}"}
    return _beginning(LIST_BODY, headers) + _DONE


def list_milliseconds(port: int, token: str) -> float:
    """Ask for the list of tools once, and give how long that took.

    Raises `BadAnswerError`.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.connect()
        began = monotonic()
        headers = {**LIST_HEADERS, "Authorization": f"Bearer {token}"}
        connection.request("POST", PATH, LIST_BODY, headers)
        response = connection.getresponse()
        body = response.read()
        took = monotonic() - began
    finally:
        connection.close()
    if response.status != 200 or body.count(b'"name"') != LISTED_TOOLS // 2:
        raise BadAnswerError(f"wrong list on port {port}: {response.status}")
    return took * 1e3


def _lua(text: str) -> str:
    return "[==[" + text + "]==]"


def _beginning(body: bytes, headers: Mapping[str, str]) -> str:
    lines = [f"wrk.headers[ {_lua(k)} ] = {_lua(v)}\n" for k, v in headers.items()]
    return "".join([f'wrk.method = "POST"\nwrk.body = {_lua(body.decode())}\n', *lines])


_SAME = _beginning(BODY, HEADERS)
_DONE = f"""
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{_REPORT}{{"requests":%d,"duration_us":%d,"failures":%d,"p50_us":%.1f,"p99_us":%.1f}}',
    summary.requests, summary.duration, e.status + e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


def check_answer(port: int, token: str) -> None:
    """Send the request once. Raises `BadAnswerError`, or OSError when nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        headers = {**HEADERS, "Authorization": f"Bearer {token}"}
        connection.request("POST", PATH, BODY, headers)
        response = connection.getresponse()
        body = response.read()
    except http.client.HTTPException as exc:
        raise BadAnswerError(f"no HTTP answer on port {port}") from exc
    finally:
        connection.close()
    if response.status != 200 or not _is_right(body):
        start = body[:200].decode(errors="replace")
        raise BadAnswerError(f"wrong answer on port {port}: {response.status} {start}")


def _is_right(body: bytes) -> bool:
    try:
        answer = msgspec.json.decode(body, type=dict)
        content = answer["result"]["content"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return False
    right = [{"type": "text", "text": TEXT}]
    return answer.get("id") == REQUEST_ID and bool(content == right)
