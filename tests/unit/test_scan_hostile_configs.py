"""Files that are made to be read for ever: the time-out of tests tells when they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bascule.scan.clients.places import Home
from bascule.scan.configs import scan_configs
from bascule.scan.drift import kept

pytestmark = pytest.mark.on_disk

MILLIONS = 3_900_000


def servers(text: str, count: int = 400) -> bytes:
    entry = {"command": "npx", "args": [text], "env": {"A": text}}
    return json.dumps({"mcpServers": {f"s{n}": entry for n in range(count)}}).encode()


@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".cursor/mcp.json", b'{"mcpServers":{"a":{"v":[%s1]}}}' % (b"1," * MILLIONS)),
        (".cursor/mcp.json", b'{"mcpServers":{"a":{"v":[%s1]}}}' % (b"[]," * 2_000_000)),
        (".cursor/mcp.json", b'{"mcpServers":{"a":{"v":[%s}}}' % (b"1," * MILLIONS)),
        (".cursor/mcp.json", servers("x", 80_000)),
        *((".cursor/mcp.json", servers(text)) for text in (
            'a="' * 3_000, "eyJ" * 3_000, "-sk-a" * 2_000, "${" * 4_000, "<" * 8_000,
            "-u a:" * 1_500, "http://a?" + "token=a&" * 1_000, "-----BEGIN " * 700,
            "a://" * 2_000, "a." * 4_000, "token " * 1_300, "sha256:" * 1_100, "x*" * 4_000,
        )),
        (".continue/config.yaml", b"{a: " * 100_000),
        (".continue/config.yaml", b"[" * 500_000),
        (".continue/config.yaml", b"? " * 500_000),
        (".continue/config.yaml", b"a: &a {}\n" + b"b: *a\n" * 150_000),
        (".codex/config.toml", b"a" + b".a" * 120_000 + b"=1"),
        (".codex/config.toml", b"a=" + b"[" * 250_000),
        (".codex/config.toml", b"a=[" + b"1," * 120_000 + b"]"),
        (".codex/config.toml", b"".join(b"[a.b%d]\n" % n for n in range(25_000))),
    ],
)  # fmt: skip
def test_no_file_holds_the_scan(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    scanned = scan_configs([Home(str(tmp_path), "linux")])
    assert kept(scanned.servers, scanned.files) or scanned.report.not_assessed
