"""`bascule up`: serve."""

from __future__ import annotations

import contextlib
import logging
import sys
from pathlib import Path

import click

from bascule.app import demo as demonstration
from bascule.app.load import Sources
from bascule.app.serve import serve
from bascule.cli.context import CommandContext
from bascule.cli.user import add_user
from bascule.storage import users


@click.command()
@click.option("--demo", is_flag=True, help="With an example server, its roles and a user.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that serve; more than one needs Linux.",
)
@click.option("--watch", is_flag=True, help="Reload when the configuration changes.")
@click.pass_obj
def up(context: CommandContext, demo: bool, workers: int, watch: bool) -> None:
    """Serve in the foreground until SIGTERM; SIGHUP reloads the configuration."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    # What stdio servers write to standard error is for the operator to read.
    logging.getLogger("bascule.stdio").setLevel(logging.INFO)
    with contextlib.ExitStack() as stack:
        if demo:
            demonstration.write_configuration(context.config_path)
            stack.enter_context(demonstration.tickets_server())
            _add_demo_user(context)
        sources = Sources(context.config_path, context.data_dir(), context.config)
        if demo:
            _explain(context.config_path, sources.data_dir)
        serve(sources, workers=workers, watch=watch)


def _add_demo_user(context: CommandContext) -> None:
    if any(user.name == "demo" for user in context.store().read(users.every)):
        return
    add_user(context, "demo", groups=(), admin=False)


def _explain(config: Path, data: Path) -> None:
    options = f"--config {config} --data-dir {data}"
    click.echo(
        f"""
The bridge is up: `tickets` is a real MCP server, and nobody reaches it without a token.

  TOKEN=$(bascule {options} token issue --user demo --connector tickets --ttl 3600)
  curl -s http://localhost:8420/c/tickets/mcp -H "Authorization: Bearer $TOKEN" \\
    -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \\
    -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/list' -d '{{
      "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {{"_meta": {{
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {{}}}}}}}}'

  bascule {options} audit tail       what was decided, and why
  bascule {options} audit verify     that nobody has changed it since
""",
        err=True,
    )
