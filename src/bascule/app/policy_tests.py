"""The cases of `policies/tests/*.toml`, tried out against the files beside them alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from bascule.app.approved import gate_of, tool_pins
from bascule.app.files import read_text
from bascule.app.tools import locked_tools
from bascule.clock import UnixTime
from bascule.config.model import Config
from bascule.decision.cases import PlacedCase, read_cases
from bascule.decision.explain import Explanation, explain
from bascule.decision.gate import Gate
from bascule.decision.problems import PolicyError, Problem
from bascule.decision.snapshot import Gates, build_snapshot
from bascule.decision.trying import Outcome, Share, share, try_case, written_policies
from bascule.decision.typed_policies import argument_problems
from bascule.decision.unknown_names import unknown_names
from bascule.errors import BasculeError
from bascule.lock.lock_file import read_lock
from bascule.lock.surface import read_document


class Tried(Struct, frozen=True):
    """What came of all cases."""

    problems: tuple[Problem, ...]
    """Of the files themselves; these cases were not tried."""
    outcomes: tuple[Outcome, ...]
    policies: Share
    """Those that were decisive in some case."""
    tools: Share
    """`CONNECTOR/TOOL` of the lock that some case was about."""
    explanations: tuple[Explanation, ...]
    """Of the outcomes that are not as expected, in their order."""

    @property
    def ok(self) -> bool:
        """Whether everything is as expected."""
        return not self.problems and all(it.ok for it in self.outcomes)


def case_files(config_path: Path) -> list[Path]:
    """Give `policies/tests/*.toml` beside the configuration."""
    return sorted((config_path.parent / "policies" / "tests").glob("*.toml"))


def run_tests(
    config_path: Path,
    config: Config,
    policy_files: Mapping[str, str],
    paths: Sequence[Path],
    *,
    now: UnixTime,
) -> Tried:
    """Try out all cases of some files.

    Each connector is taken to be approved as it is locked, so that the outcome depends on
    files alone, and is the same on every machine. Raises `PolicyError` for policies that
    could not be put in force, and `BasculeError` for files that cannot be read.
    """
    cases: list[PlacedCase] = []
    problems: list[Problem] = []
    for path in paths:
        found, wrong = read_cases(str(path), read_text(path))
        cases += found if not wrong else []
        problems += wrong
    if not cases and not problems:
        raise BasculeError(
            "there are no cases: write some into `policies/tests/NAME.toml` beside the "
            "configuration, as `docs/how-to/test-policies.md` shows"
        )
    snapshot = build_snapshot(config, policy_files, gates_as_approved(config_path, config))
    unfit = [*unknown_names(config, snapshot), *argument_problems(snapshot)]
    if any(it.severity == "error" for it in unfit):
        raise PolicyError(unfit)
    tools = locked_tools(config_path, config)
    outcomes = [it for case in cases for it in try_case(case, snapshot, tools, now=now)]
    decisive = (name for it in outcomes for name in it.exercised)
    every_tool = (f"{name}/{tool}" for name, found in tools.items() for tool in found)
    return Tried(
        tuple(problems),
        tuple(outcomes),
        share(written_policies(snapshot), decisive),
        share(every_tool, (it.use for it in outcomes)),
        tuple(explain(it.facts, snapshot, config) for it in outcomes if not it.ok),
    )


def gates_as_approved(config_path: Path, config: Config) -> Gates:
    """Give the gates of a configuration as if everything that is locked were approved.

    Of what is not locked nothing is compared. Raises `LockError`.
    """
    gates: dict[str, Gate | None] = dict.fromkeys(config.connectors)
    for name, entry in read_lock(config_path.parent).connectors.items():
        if name not in gates or entry.surface is None:
            continue
        gate = gate_of(name, config, entry, None)
        if gate is not None:
            tools = tool_pins(read_document(config_path.parent, name, entry.surface))
            gates[name] = replace(gate, missing=None, problem="", tools=tools)
    return gates
