"""Servers on real SDKs: the versions with a published hole are told from the fixed ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from system.mcp_server import running
from twins.judging import look
from twins.sdks import npm_inspector, npm_sdk, playwright, python_sdk

REBINDING = {"host-not-checked", "origin-not-checked"}


def test_the_python_sdk_before_1_23_does_not_check_hosts(shared_folder: Path) -> None:
    """CVE-2025-66416, in both of its transports."""
    with (
        python_sdk(shared_folder, "1.22.0") as (streamable, events),
        python_sdk(shared_folder, "1.23.0") as (fixed_streamable, fixed_events),
    ):
        assert look(streamable).rules == REBINDING
        assert look(events).rules == REBINDING
        assert look(fixed_streamable).rules == set()
        assert look(fixed_events).rules == set()


def test_the_npm_sdk_before_1_24_does_not_check_hosts() -> None:
    """CVE-2025-66414: `createMcpExpressApp` came with the fix."""
    with npm_sdk("sdk-before-host-checks") as url:
        assert look(url).rules >= REBINDING
    with npm_sdk("@modelcontextprotocol/sdk") as url:
        assert "host-not-checked" not in look(url).rules


def test_a_server_of_today_has_no_findings() -> None:
    with running("both") as port:
        assert look(f"http://127.0.0.1:{port}/mcp").rules == set()


def test_the_inspector_before_0_14_1_asks_for_no_token() -> None:
    """CVE-2025-49596; its proxy is no MCP server, and starts what it is told to."""
    with npm_inspector("inspector-server-before-tokens") as url:
        seen = look(url)
        assert set(seen.findings) == {"inspector-open"}
        assert "PATH" not in seen.findings["inspector-open"].evidence
    with npm_inspector("inspector-server-with-tokens") as url:
        assert look(url).findings == {}


@pytest.mark.soak
def test_playwright_before_0_0_40_does_not_check_hosts(tmp_path: Path) -> None:
    """CVE-2025-9611, in both transports, and known by its own word too."""
    with playwright(tmp_path, "0.0.39") as url:
        for path in ("/mcp", "/sse"):
            found = look(url + path).rules
            assert found >= {"host-not-checked", "known-vulnerable-product"}
    with playwright(tmp_path, "0.0.41") as url:
        for path in ("/mcp", "/sse"):
            assert look(url + path).rules == {"origin-not-checked"}
