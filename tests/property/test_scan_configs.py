"""Whatever a client's file holds: the scan ends, and what it says can be written."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.json import encode

from bascule.scan import drift
from bascule.scan.clients.places import Home
from bascule.scan.config_files import ConfigFileError, read_document
from bascule.scan.configs import scan_configs

WORDS = (
    *("command", "cmd", "args", "env", "environment", "url", "serverUrl", "headers"),
    *("transport", "disabled", "enabled", "autoApprove", "trust", "tools", "name"),
    *("mcpServers", "servers", "mcp", "inputs", "default", "projects", "/srv", "one"),
    *("permissions", "allow", "config", "oauth", "services", "image", "volumes", "type"),
    *("registry", "path", ""),
)
TEXTS = st.text(max_size=12) | st.sampled_from(
    (
        *("npx", "-y", "tool@1.0.0", "docker", "run", "-v", "/:/x", "sh", "-c", "a | b"),
        *("uvx", "--from", "http://[::1", "https://a:b@c/?token=d", "mcp__x", "=", ":"),
        *("sse", "\ud800", "\x1b[2J", "${A:-b}", "bascule", "connect", "--token", "true"),
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=25,
)
FILES = (
    *(".cursor/mcp.json", ".claude.json", ".claude/settings.json", ".mcp.json"),
    *(".config/Code/User/settings.json", ".config/zed/settings.json", "p/compose.yaml"),
    *(".continue/config.yaml", ".docker/mcp/registry.yaml", ".docker/mcp/config.yaml"),
    *(".config/zencoder/mcp.json", ".gemini/extensions/x/gemini-extension.json"),
)


@settings(max_examples=40)
@given(st.sampled_from(FILES), st.sampled_from(WORDS), VALUES)
def test_any_value_is_scanned(name: str, key: str, value: Any) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({key: value, "mcpServers": value}))
        scanned = scan_configs([Home(folder, "linux")])
        assert encode(scanned.report)
        assert encode(drift.kept(scanned.servers, scanned.files))
        assert len(scanned.servers) == len(scanned.report.servers)


@given(st.sampled_from(["json", "jsonc", "toml", "yaml"]), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(format: Any, data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        assert said_of(path, format).isprintable()


def said_of(path: Path, format: Any) -> str:
    try:
        read_document(str(path), format, str(path.parent))
    except ConfigFileError as exc:
        return str(exc)
    return ""
