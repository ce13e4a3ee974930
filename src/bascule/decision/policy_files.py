"""Hand-written `.cedar` files: read, validated strictly, and looked over.

The schema's validator finds what cannot be evaluated. What is looked for here besides is
what evaluates and still does not do what it says: a name nobody has, a policy no record
could name, an entity that a request does not carry.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from bascule.config.call_approval_rules import rules_in_force
from bascule.config.model import Config
from bascule.decision import cedar
from bascule.decision.lines import Statement, statements
from bascule.decision.model import DEFAULT_CEILING, TYPES, USE_ACTIONS, Uid
from bascule.decision.policy import Est, Policy, entity_uid, policy_of, walk
from bascule.decision.problems import Problem

GENERATED = ("role:", "ceiling:", "scope:", "approval:", "flow:", "rate:", "grant:")
"""Beginnings of ids that only Bascule gives, in policies and in records."""
_MAX_ID = 200
_UNFINISHED = "unexpected end of input"


@dataclass(frozen=True, slots=True)
class _Found:
    """A policy of a file and the line on which it begins."""

    file: str
    line: int
    policy: Policy
    """Under its id, whatever that is."""

    @property
    def est(self) -> Est:
        """It, as Cedar reads it."""
        return self.policy.est

    def problem(self, message: str, *, error: bool = True) -> Problem:
        return Problem(self.file, self.line, "error" if error else "warning", message)


def read_policy_files(
    files: Mapping[str, str], config: Config
) -> tuple[dict[str, Policy], list[Problem]]:
    """Read all files, by name and text: the policies with a good id, and all problems."""
    policies: dict[str, Policy] = {}
    problems: list[Problem] = []
    for file, text in sorted(files.items()):
        found, complaints = _read_file(file, text)
        problems += complaints
        for it in found:
            name = it.est.get("annotations", {}).get("id")
            complaint = _id_complaint(name, policies)
            if complaint is not None:
                problems.append(it.problem(complaint))
            else:
                policies[name] = it.policy
            if not cedar.can_be_kept(it.est):
                problems.append(it.problem(cedar.TOO_DEEP))
            problems += _look_over(it, config)
    return policies, problems


def _read_file(file: str, text: str) -> tuple[list[_Found], list[Problem]]:
    pieces = statements(text)
    try:
        ests, has_templates = _parse(text, pieces)
    except cedar.CedarSyntaxError as exc:
        line, message = _syntax_error(pieces, str(exc))
        return [], [Problem(file, line, "error", message)]
    if has_templates:
        slot = next((it.line for it in pieces if _is_template(it.text)), 1)
        return [], [
            Problem(file, slot, "error", "is a template, and nothing fills its slots")
        ]
    # Cedar knows no positions; the pieces do, as long as both count alike.
    lines = (
        [piece.line for piece in pieces] if len(pieces) == len(ests) else [1] * len(ests)
    )
    found = [_found(file, line, est) for line, est in zip(lines, ests, strict=True)]
    # What arguments there are depends on the tool; the schema knows none.
    return found, [
        found[at].problem(message)
        for at, message in cedar.violations(text)
        if not found[at].policy.arguments
    ]


def _found(file: str, line: int, est: Est) -> _Found:
    policy = policy_of(est.get("annotations", {}).get("id") or "", est)
    return _Found(file, line, replace(policy, file=file, line=line))


def _parse(text: str, pieces: list[Statement]) -> tuple[list[Est], bool]:
    """Read a file as Cedar would, policy by policy.

    Cedar holds the interpreter while it reads, and a long file would hold up calls.
    """
    parsed = [cedar.parse(piece.text) for piece in pieces]
    if all(len(ests) == 1 and not has_templates for ests, has_templates in parsed):
        return [ests[0] for ests, _ in parsed], False
    return cedar.parse(text)


def _syntax_error(pieces: list[Statement], message: str) -> tuple[int, str]:
    """Find the line that makes the first broken piece wrong, not merely unfinished."""
    for piece in pieces:
        complaint = _complaint(piece.text)
        if complaint is None:
            continue
        lines = piece.text.split("\n")
        for end in range(1, len(lines)):
            early = _complaint("\n".join(lines[:end]))
            if early not in {None, _UNFINISHED}:
                return piece.line + end - 1, early or complaint
        return piece.line + len(lines) - 1, complaint
    return 1, message


def _complaint(text: str) -> str | None:
    try:
        cedar.parse(text)
    except cedar.CedarSyntaxError as exc:
        return str(exc)
    return None


def _is_template(text: str) -> bool:
    return cedar.parse(text)[1]


def _id_complaint(name: str | None, taken: Mapping[str, Policy]) -> str | None:
    if not name:
        return 'has no `@id("…")`: records name policies by it'
    if name.startswith(GENERATED):
        return f"`@id` `{name}`: what begins so is made from the configuration"
    if name in taken:
        return f"`@id` `{name}` is given to two policies"
    if len(name) > _MAX_ID or not name.isprintable() or "`" in name:
        return f"`@id` must be printable, without backticks, at most {_MAX_ID} characters"
    return None


def _look_over(found: _Found, config: Config) -> Iterator[Problem]:
    est = found.est
    for of in sorted(set(_named(est))):
        complaint = _name_complaint(of, config)
        if complaint is not None:
            yield found.problem(f'`{of[0]}::"{of[1]}"` {complaint}')
    if any(_asks_of_a_literal(node) for node in walk(est["conditions"])):
        yield found.problem(
            "asks what an entity that is written out is `in`; a request carries only "
            "its own principal, agent, user and target, so the answer would always be no"
        )
    for message in _obligation_complaints(found.policy, config):
        yield found.problem(message)
    if "*" in found.policy.arguments:
        yield found.problem(
            "reads `context.args` as a whole, which has another type for each tool: "
            "name the arguments"
        )
    for message in _doubts(found.policy):
        yield found.problem(message, error=False)


def _named(est: Est) -> Iterator[Uid]:
    """Give every entity that a policy writes out; a record may have the same two keys."""
    for node in walk([est["principal"], est["resource"], est["conditions"]]):
        if isinstance(node.get("type"), str) and isinstance(node.get("id"), str):
            yield entity_uid(node)


def _name_complaint(of: Uid, config: Config) -> str | None:
    """Say why an entity can be no request's; users, groups and agents come and go."""
    kind, name = of[0].removeprefix("Mcp::"), of[1]
    known: Mapping[str, Collection[str]] = {
        "Server": config.connectors,
        "Toolset": config.toolsets,
        "Role": config.roles,
        "Ceiling": (DEFAULT_CEILING,),
        "Token": (),
    }
    if kind in known:
        return None if name in known[kind] else "does not exist"
    if kind in TYPES.values():
        connector, slash, _ = name.partition("/")
        exists = slash and connector in config.connectors
        return (
            None if exists else "is not of the form `CONNECTOR/NAME` with a known connector"
        )
    prefix = f"{kind.lower()}:"
    if kind in {"User", "Group", "Agent"} and name.startswith(prefix):
        return f"never matches: write it without `{prefix}`"
    return None


def _asks_of_a_literal(node: Est) -> bool:
    operands = (node.get("in"), node.get("is"))
    lefts = (operand.get("left") for operand in operands if isinstance(operand, dict))
    return any("__entity" in inner for left in lefts for inner in walk(left))


def _obligation_complaints(policy: Policy, config: Config) -> Iterator[str]:
    """Say why an obligation could not be met; one that means nothing must not stand."""
    if policy.obligation is None:
        return
    rule, known = policy.approval_rule, rules_in_force(config)
    if rule is None:
        yield (
            f"`@obligation` `{policy.obligation}` is not known: write `approve`, or "
            "`approve:RULE` with a rule of `[call_approvals]`"
        )
    elif rule not in known:
        yield f"`@obligation` names rule `{rule}`, which `[call_approvals]` does not have"
    if policy.actions & {USE_ACTIONS["prompt"], USE_ACTIONS["resource"]}:
        yield (
            "`@obligation` is for calls of tools: say "
            '`action == Mcp::Action::"call_tool"` or `"act_alone"`'
        )


def _doubts(policy: Policy) -> Iterator[str]:
    """Name what is valid and hardly meant."""
    est, who = policy.est, policy.principal
    never = (
        {"kind": "when", "body": {"Value": False}},
        {"kind": "unless", "body": {"Value": True}},
    )
    if any(condition in never for condition in est["conditions"]):
        yield "never applies: its condition is always false"
    if est["effect"] == "forbid" or who.within is not None:
        return
    head = est["resource"]
    if head["op"] in {"All", "is"} and "in" not in head and not est["conditions"]:
        yield "permits every connector to every principal"
    if est["action"]["op"] == "All" and who.type in {None, "Mcp::Agent"}:
        yield 'lets agents act by themselves too: say `action in Mcp::Action::"use"`'
