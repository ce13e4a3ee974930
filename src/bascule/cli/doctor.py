"""`bascule doctor`: is everything well between a client and the log?"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import click
import msgspec

from bascule.app.doctor import Finding, Patient, examine, examine_server
from bascule.app.probe import Probe
from bascule.audit.query import Filter, Row, rows
from bascule.audit.receipt import NotSignedError, receipt
from bascule.audit.state import read_state
from bascule.cli.audit_records import log_files
from bascule.cli.context import CommandContext
from bascule.cli.doctor_idp import idp
from bascule.cli.output import emit, printable
from bascule.cli.probing import ELSEWHERE, powerless_token, require_running
from bascule.cli.user import as_json_option
from bascule.clock import monotonic, system_clock, system_entropy
from bascule.config.model import Config
from bascule.errors import BasculeError
from bascule.identity.resource import resource_identifier

FOUND = 1
"""Exit code: something is wrong."""
LOG_SECONDS = 10.0
"""How long a record may take into the tree and under a signature."""
PAUSE_SECONDS = 0.1

T = TypeVar("T")


@click.group(invoke_without_command=True)
@click.option("--connector", "names", multiple=True, help="Only this one; repeatable.")
@click.option("--exposure", is_flag=True, help="Try what the deployment shows outside.")
@as_json_option
@click.pass_context
def doctor(
    ctx: click.Context, names: tuple[str, ...], exposure: bool, as_json: bool
) -> None:
    """Try the whole way of a call against the running server; calls nobody's tool.

    For each connector: that no token and a token for something else are refused, that the
    server behind answers, that what cannot exist is not there, and that the log has it.

    With --exposure, from any host that has the configuration: that endpoints which are
    advertised are there, that metadata agree, that proxies leave `Authorization`, `Host`
    and `Origin` as they are, that clock and certificate are good, and that nothing of the
    admin listener is to be had.

    `doctor idp NAME` tries an identity provider.
    """
    if ctx.invoked_subcommand is not None:
        return
    context: CommandContext = ctx.obj
    config = context.config()
    unknown = sorted(set(names) - set(config.connectors))
    if unknown:
        raise BasculeError(f"there is no connector `{unknown[0]}`: see `bascule.toml`")
    wanted = names or tuple(config.connectors)
    if exposure:
        steps = _exposure(config, wanted)
    else:
        require_running(context)
        context.record_admin("doctor", {"connectors": " ".join(names) or "all"})
        steps = _findings(context, config, wanted)
    found = []
    for finding in steps:
        found.append(finding)
        if not as_json:
            _print(finding)
    ok = all(finding.ok for finding in found)
    if as_json:
        checks = [msgspec.structs.asdict(finding) for finding in found]
        emit({"ok": ok, "checks": checks}, text="", as_json=True)
    elif not (config.connectors or exposure):
        click.echo("there are no connectors yet: `bascule add` makes one", err=True)
    ctx.exit(0 if ok else FOUND)


doctor.add_command(idp)


def _findings(
    context: CommandContext, config: Config, names: tuple[str, ...]
) -> Iterator[Finding]:
    url = config.server.public_url
    probe = Probe(url)
    first = list(examine_server(probe, url))
    yield from first
    if all(finding.ok for finding in first):
        for name in names:
            yield from examine(probe, _patient(context, config, name))


def _exposure(config: Config, names: tuple[str, ...]) -> Iterator[Finding]:
    """Look at it from outside; nothing is changed, and nothing recorded."""
    from bascule.app.exposure import deployment_of, examine_exposure

    deployment = deployment_of(config, names, now=system_clock())
    return examine_exposure(Probe(config.server.public_url), deployment)


def _patient(context: CommandContext, config: Config, name: str) -> Patient:
    url = config.server.public_url
    verifier = context.place().log_keys().signer.verifier
    state = read_state(log_files(context))
    start = 0 if state is None else state.size
    unknown = "bascule-doctor-" + base64.b16encode(system_entropy(8)).decode().lower()

    token_for = partial(powerless_token, context, config, name)

    def record() -> int | None:
        wanted = Filter(name=unknown, connector=name, decision="deny")
        return _soon(lambda: _first(rows(log_files(context), wanted, start)))

    def check_receipt(seq: int) -> None:
        files = context.place().log().files()
        if _soon(lambda: _signed(lambda: receipt(files, verifier, seq))) is None:
            raise NotSignedError(f"record {seq} is under no signature yet")

    return Patient(
        connector=name,
        public_url=url,
        token=lambda: token_for(resource_identifier(url, name)),
        foreign_token=lambda: token_for(resource_identifier(url, ELSEWHERE)),
        unknown_name=unknown,
        record=record,
        check_receipt=check_receipt,
        bounded=bool(config.connectors[name].boundary.reachable_from),
    )


def _first(found: Iterator[Row]) -> int | None:
    return next((row.seq for row in found), None)


def _signed(make: Callable[[], T]) -> T | None:
    try:
        return make()
    except NotSignedError:
        return None


def _soon(look: Callable[[], T | None]) -> T | None:
    """Look until there is something, for a while."""
    end = monotonic() + LOG_SECONDS
    while (found := look()) is None and monotonic() < end:
        time.sleep(PAUSE_SECONDS)
    return found


def _print(finding: Finding) -> None:
    mark = click.style("ok ", fg="green") if finding.ok else click.style("BAD", fg="red")
    where = finding.connector or "server"
    line = f"{mark}  {where}  {finding.check}: {printable(finding.found)}"
    click.echo(line if finding.ok else f"{line}\n     -> {printable(finding.fix)}")
