"""What `bascule posture` looks at: files, state, log and the running server."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from bascule.app.posture.assess import Gathered
from bascule.app.posture.identities import Owner
from bascule.app.posture.live import Running
from bascule.cli.context import CommandContext
from bascule.cli.progress import Line
from bascule.clock import system_clock
from bascule.config.model import Config
from bascule.errors import BasculeError

if TYPE_CHECKING:
    from bascule.app.boundaries import Standing
    from bascule.app.posture.control import State
    from bascule.app.posture.definitions import Said
    from bascule.audit.verify import Verdict
    from bascule.lock.model import LockFile


def gather(context: CommandContext, line: Line, *, scan: bool) -> Gathered:
    """Look at everything; with `scan`, probe every port of this host too.

    Raises `BasculeError` for what is so broken that nothing can be said.
    """
    from bascule.cli.verify import verified
    from bascule.lock.lock_file import read_lock

    config = context.config()
    line.say("reading rights and approvals")
    snapshot = context.snapshot(config)
    line.say("hashing what is locked")
    lock = read_lock(context.config_path.parent)
    entries = lock.connectors
    running, why = _running(context, config)
    return Gathered(
        config=config,
        snapshot=snapshot,
        tests=_tests(context, config),
        owner=_owner(context),
        read_secret=context.place().secrets(config.vault),
        verified=verified(context, ()) if entries else (),
        entries=entries,
        log=_log(context, line),
        running=running,
        not_running=why,
        boundaries=_boundaries(context, config),
        said=_said(context, config, lock),
        shadows=_shadows(context) if scan else None,
    )


def _boundaries(context: CommandContext, config: Config) -> dict[str, Standing] | None:
    """Read what probes of boundaries found; None where there is no state yet."""
    if not context.has_state():
        return None
    from bascule.app.boundaries import standings
    from bascule.storage import boundary_verdicts

    kept = context.store().read(boundary_verdicts.every)
    return standings(kept, config, system_clock())


def _said(context: CommandContext, config: Config, lock: LockFile) -> Said | None:
    """Read what approved definitions say; None where there is no state yet."""
    if not context.has_state():
        return None
    from bascule.app.posture.definitions import unanswered

    place = context.place()
    return unanswered(place, context.config_path, config, lock, now=system_clock())


def _tests(context: CommandContext, config: Config) -> tuple[State, str]:
    from bascule.app.policy_tests import case_files, run_tests

    path = context.config_path
    cases = case_files(path)
    if not cases:
        return "not_met", "there are no cases in `policies/tests`"
    try:
        tried = run_tests(path, config, context.policy_files(), cases, now=system_clock())
    except BasculeError as exc:
        return "not_met", str(exc)
    failed = len(tried.problems) + sum(not it.ok for it in tried.outcomes)
    return ("met", "") if tried.ok else ("not_met", f"{failed} cases come out otherwise")


def _owner(context: CommandContext) -> Owner | None:
    """Find whose the data directory is; one that is not there yet is whoever asks."""
    if sys.platform == "win32":
        return None
    import os
    import pwd

    from bascule.app.files import data_path

    folder = data_path(context.named_data_dir)
    uid = folder.stat().st_uid if folder.exists() else os.geteuid()
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        return None
    return Owner(account.pw_name, uid, account.pw_shell)


def _log(context: CommandContext, line: Line) -> Verdict | None:
    """Verify the log; None where there is none yet."""
    if not context.has_state():
        return None
    from bascule.cli.audit import verify_own

    line.say("hashing the log")
    verdict = verify_own(context)
    return verdict if verdict.signed_size or verdict.problems else None


def _shadows(context: CommandContext) -> list[str]:
    """Probe every port of this host; a sentence for each server that nobody knows."""
    from bascule.cli.scan_host import connectors_of, files_of_clients, look_at_host
    from bascule.cli.scan_scope import THIS_MACHINE
    from bascule.scan.rules.host import SHADOW_PROCESS, SHADOW_SERVER
    from bascule.scan.this_host import named_by_clients

    connectors, _ = connectors_of(context)
    named = [*named_by_clients(files_of_clients(context).servers), *connectors]
    found = look_at_host(named, THIS_MACHINE).report.findings
    shadows = {SHADOW_SERVER.id, SHADOW_PROCESS.id}
    return [f"{it.target}: {it.evidence}" for it in found if it.rule in shadows]


def _running(context: CommandContext, config: Config) -> tuple[Running | None, str]:
    """Find the running server and what it takes to ask it; else say why not."""
    from bascule.app.exposure import deployment_of
    from bascule.app.probe import Probe
    from bascule.cli.probing import ELSEWHERE, powerless_token, require_running
    from bascule.identity.resource import resource_identifier

    names = tuple(config.connectors)
    if not names:
        return None, "there are no connectors yet"
    try:
        require_running(context)
    except BasculeError:
        return None, "`bascule up` does not run here"
    url = config.server.public_url
    context.record_admin("posture", {"connectors": names[0]})
    token = partial(powerless_token, context, config, names[0])
    return Running(
        probe=Probe(url),
        deployment=deployment_of(config, names, now=system_clock()),
        token=lambda: token(resource_identifier(url, names[0])),
        foreign_token=lambda: token(resource_identifier(url, ELSEWHERE)),
        body_bytes=config.limits.body_bytes,
        depth=config.limits.depth,
    ), ""
