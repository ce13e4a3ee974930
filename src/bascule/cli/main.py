"""The `bascule` command."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from bascule.cli.context import CommandContext
from bascule.cli.lazy import LazyGroup
from bascule.errors import BasculeError

COULD_NOT_RUN = 3
"""The command could not do its work; 1 is for what it looks for, 2 for wrong usage."""

COMMANDS: Mapping[str, str] = {
    "up": "up:up",
    "add": "add:add",
    "lock": "lock:lock",
    "install": "install:install",
    "diff": "diff:diff",
    "approve": "approve:approve",
    "reject": "approve:reject",
    "verify": "verify:verify",
    "run": "run:run",
    "user": "user:user",
    "agent": "agent:agent",
    "token": "token:token",
    "grant": "grant:grant",
    "revoke": "revoke:revoke",
    "link": "link:link",
    "approvals": "approvals:approvals",
    "policy": "policy:policy",
    "decide": "decide:decide",
    "audit": "audit:audit",
    "scan": "scan:scan",
    "secret": "secret:secret",
    "posture": "posture:posture",
    "doctor": "doctor:doctor",
    "config": "config:config",
    "schema": "config:schema",
    "key": "key:key",
    "db": "db:db",
    "update": "update:update",
    "monitor": "monitor:monitor",
    "import": "import_:import_",
    "sbom": "sbom:sbom",
    "bench": "bench:bench",
}
"""Command → module and attribute below `bascule.cli`, in the order in which a newcomer
meets them."""

_ANYWHERE = ("--config", "--data-dir")


class Commands(LazyGroup):
    """The root command: turns errors into exit codes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take `--config` and `--data-dir` from anywhere before `--`."""
        return super().parse_args(ctx, _hoisted(args))

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; the one place where an error becomes an exit code."""
        try:
            return super().invoke(ctx)
        except BasculeError as exc:
            click.echo(f"error: {exc}", err=True)
            ctx.exit(COULD_NOT_RUN)


def _hoisted(args: list[str]) -> list[str]:
    end = args.index("--") if "--" in args else len(args)
    front: list[str] = []
    rest: list[str] = []
    before = iter(args[:end])
    for arg in before:
        name, separator, _ = arg.partition("=")
        if name not in _ANYWHERE:
            rest.append(arg)
        elif separator:
            front.append(arg)
        else:
            front += [arg, *([value] if (value := next(before, None)) is not None else [])]
    return front + rest + args[end:]


@click.group(
    cls=Commands,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="bascule")
@click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration file [default: $BASCULE_CONFIG, else ./bascule.toml].",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data directory [default: $XDG_DATA_HOME/bascule].",
)
@click.pass_context
def main(ctx: click.Context, config_path: Path | None, data_dir: Path | None) -> None:
    """Guard MCP servers: identity, least privilege, exposure and audit."""
    from bascule.app.dumpable import forbid_reading

    forbid_reading()  # any command may come to hold a secret
    from_environment = os.environ.get("BASCULE_CONFIG")
    named = config_path or (Path(from_environment) if from_environment else None)
    ctx.obj = CommandContext(named_config=named, named_data_dir=data_dir)
    ctx.call_on_close(ctx.obj.close)


if __name__ == "__main__":
    main()
