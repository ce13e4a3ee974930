"""`bascule scan`: find MCP servers, and what is wrong with how they stand."""

from __future__ import annotations

from collections.abc import Mapping

import click

from bascule.cli.lazy import LazyGroup

COMMANDS: Mapping[str, str] = {
    "configs": "scan_configs:configs",
    "host": "scan_host:host",
    "url": "scan_url:url",
    "net": "scan_net:net",
    "text": "scan_text:text",
    "vantage": "scan_vantage:vantage",
}
"""Command → module and attribute below `bascule.cli`."""


@click.group(cls=LazyGroup, lazy=COMMANDS)
def scan() -> None:
    """Find MCP servers: in clients' files, on this host, behind URLs, in your networks.

    Nothing that is examined is executed, and nothing is sent anywhere but to the targets.
    """
