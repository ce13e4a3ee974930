"""Who stands behind what: credentials, secrets, and whose account all of it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from bascule.app.posture.control import Control, Subject
from bascule.app.secret_references import references
from bascule.app.secrets import ReadSecret, is_reference
from bascule.config.model import Config
from bascule.decision.gate import Gate
from bascule.decision.snapshot import Snapshot
from bascule.errors import BasculeError

OPERATOR = Subject(
    "known",
    "operator",
    "no agent runs as the operator's OS user",
    "owner of the data directory",
    "run Bascule as a user of its own: docs/how-to/run-as-a-service.md",
)
CREDENTIALS = Subject(
    "known",
    "credentials",
    "no shared credential changes things for several users",
    "configuration and approved definitions",
    "give each user a credential of their own, or share a read-only one",
)
SECRETS = Subject(
    "known",
    "secrets",
    "secrets are references that can be read, by the operator alone",
    "configuration, and the files that it names",
    "name a file of mode 0600 as `file:PATH`, or a variable as `env:NAME`",
)
SEPARATE = Subject(
    "known",
    "separate",
    "no process of a stdio server serves several users",
    "configuration",
    "set `per_user = true`",
)

_SECRET_NAMES = (
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "API_KEY",
    "APIKEY",
    "PRIVATE_KEY",
)


class Owner(Struct, frozen=True):
    """The OS user whose the data directory is."""

    name: str
    uid: int
    shell: str
    """Login shell; one that ends in `nologin` or `false` lets nobody in."""


def identity_controls(
    config: Config, snapshot: Snapshot, owner: Owner | None, read_secret: ReadSecret
) -> Iterator[Control]:
    """Judge who acts as whom; `owner`: None where this system does not tell."""
    yield _operator(owner)
    yield CREDENTIALS.judged_of(config.connectors, _shared(config, snapshot))
    yield SECRETS.judged(_secrets(config, read_secret))
    yield SEPARATE.judged_of(config.connectors, _together(config))


def _operator(owner: Owner | None) -> Control:
    """Who can write the data directory can give rights without a login."""
    if owner is None:
        return OPERATOR.unseen("whose the data directory is cannot be told here")
    shell = Path(owner.shell).name
    if shell in {"nologin", "false"} and owner.uid != 0:
        return OPERATOR.judged(())
    who = f"the data directory is `{owner.name}`'s, whose login shell is `{shell or 'sh'}`"
    return OPERATOR.judged(
        [f"{who}: an agent that runs as this user can do all that the operator can"]
    )


def _shared(config: Config, snapshot: Snapshot) -> Iterator[str]:
    """Find credentials under which many users change things as one."""
    for name, connector in config.connectors.items():
        credential = connector.credential
        shared = credential.is_one_for_all and credential.shared
        if shared and _may_change(snapshot.gates.get(name)):
            yield f"`connectors.{name}`: its users all act as one upstream"


def _may_change(gate: Gate | None) -> bool:
    """Tell whether some tool is not known to be read-only."""
    pins = (
        [] if gate is None else [pin for of in gate.tools.values() for pin in of.values()]
    )
    return not pins or not all(pin.read_only for pin in pins)


def _secrets(config: Config, read_secret: ReadSecret) -> Iterator[str]:
    """Find references that lead nowhere or are open to others, and values written out."""
    for place, reference in references(config).items():
        try:
            read_secret(reference)
        except BasculeError as exc:
            yield f"`{place}`: {exc}"
    for name, connector in config.connectors.items():
        for variable, value in connector.env.items():
            named = any(it in variable.upper() for it in _SECRET_NAMES)
            if named and value and not is_reference(value):
                yield f"`connectors.{name}.env.{variable}` is written out"


def _together(config: Config) -> Iterator[str]:
    for name, connector in config.connectors.items():
        if connector.command is not None and not connector.per_user:
            yield f"`connectors.{name}`: all of its users share its processes"
