"""`audits.toml`, one struct for each table: who has read which packages.

An audit is about bytes: it names the digest of what was read, and a delta the digests of
both versions.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Set
from datetime import date
from itertools import islice
from typing import Annotated, NamedTuple
from urllib.parse import unquote

import msgspec
from msgspec import Meta

from bascule.config.paths import below
from bascule.config.shape import shape_problems
from bascule.config.table import Table
from bascule.lock.advisories import package_version
from bascule.lock.invisible import visible
from bascule.lock.model import LockError

MAX_BYTES = 8 << 20
"""Of one file: some ten thousand audits."""
MAX_CRITERIA = 100
MAX_PROBLEMS = 20
"""That are told of one file."""
MAX_SHOWN = 200
"""Characters of a value that a message repeats."""
EVERYBODY = "*"
DIGESTS = {"PyPI": "sha256", "npm": "sha512", "generic": "sha256"}
"""What installers check, and so the only digest that says which bytes are installed."""

Text = Annotated[str, Meta(min_length=1, max_length=2000)]
Names = Annotated[tuple[str, ...], Meta(min_length=1)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="64 lower-case digits")]
Sha512 = Annotated[
    str, Meta(pattern="^[0-9a-f]{128}$", description="128 lower-case digits")
]
BesideIt = Annotated[
    str,
    Meta(
        pattern=r"^audits/[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?\.toml$",
        description="`audits/NAME.toml`, beside the configuration",
    ),
]


class AuditsError(LockError):
    """`audits.toml`, or a file that it imports, cannot be used; says where and why."""


class Criterion(Table, frozen=True):
    """`[criteria.NAME]`: what somebody who audits has looked for."""

    description: Text
    implies: tuple[str, ...] = ()
    """Criteria that are met by whatever meets this one."""


class Audit(Table, frozen=True, kw_only=True):
    """`[[audits]]`: somebody has read a version, or what it changes in another one."""

    package: Text
    """Package URL without a version: `pkg:npm/%40scope/name`."""
    version: Text | None = None
    """All of it was read."""
    delta: Text | None = None
    """`1.2.2 -> 1.2.3`: only what differs was read."""
    sha256: Sha256 | None = None
    """Of the file that the registry serves, here of PyPI; of a delta the later one."""
    sha512: Sha512 | None = None
    """The same, of npm."""
    from_sha256: Sha256 | None = None
    """Of the file that a delta starts from."""
    from_sha512: Sha512 | None = None
    """The same, of npm."""
    criteria: Names
    who: Text
    reason: str = ""


class TrustedPublisher(Table, frozen=True, kw_only=True):
    """`[[trusted]]`: packages that a workflow has built need no reading, for a time."""

    issuer: Text
    repository: Text
    workflow: Text
    """As the lock has them; only a verified provenance counts."""
    packages: Names
    """Package URLs without a version; `*` matches any run of characters."""
    criteria: Names
    start: date
    """Published on that day (UTC) or later."""
    end: date
    """Published before that day; from then on nothing of it counts."""
    reason: str = ""


class Exemption(Table, frozen=True, kw_only=True):
    """`[[exemptions]]`: a version that nobody has read may pass, for a time."""

    package: Text
    version: Text
    criteria: Names
    reason: Text
    until: date
    """From that day on (UTC) it does not count."""


class Import(Table, frozen=True, kw_only=True):
    """`[imports.NAME]`: audits by others, from a file that lies beside ours."""

    file: BesideIt
    sha256: Sha256
    criteria: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """Their criteria → ours; what is not named says nothing here."""
    people: tuple[str, ...] = ()
    """Whose audits count, as in `who`; `*`: everybody's. Empty: nobody's."""


class AuditsFile(Table, frozen=True):
    """The whole file."""

    criteria: dict[str, Criterion] = msgspec.field(default_factory=dict)
    audits: tuple[Audit, ...] = ()
    trusted: tuple[TrustedPublisher, ...] = ()
    exemptions: tuple[Exemption, ...] = ()
    imports: dict[str, Import] = msgspec.field(default_factory=dict)


class Bytes(NamedTuple):
    """One file of a registry, by what it calls itself and by what it is."""

    ecosystem: str
    name: str
    version: str
    digest: str
    """Hex, of the kind that `DIGESTS` says."""


def parse_audits(content: bytes, *, source: str) -> AuditsFile:
    """Read one file.

    Raises `AuditsError`, and nothing else for any bytes: its first problems, with places.
    """
    if len(content) > MAX_BYTES:
        raise AuditsError(f"`{source}` is larger than {MAX_BYTES} bytes")
    try:
        document = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as exc:
        raise AuditsError(f"`{source}` is not valid TOML: {exc}") from exc
    try:
        found: AuditsFile = msgspec.convert(document, AuditsFile)
    except msgspec.ValidationError as exc:
        problems = shape_problems(document, AuditsFile)
        told = list(islice(problems, MAX_PROBLEMS)) or [("", str(exc))]
        raise _refused(source, told) from exc
    broken = list(islice(_broken(found), MAX_PROBLEMS))
    if broken:
        raise _refused(source, broken)
    return found


def bytes_of(package: str, version: str, digest: str) -> Bytes:
    """Name a file by its package URL without a version, its version and its digest.

    Versions are compared as they are written: what looks like one may be another file.
    Raises `AuditsError` for a package of another kind than `DIGESTS` has.
    """
    found = package_version(f"{package}@0")
    if found is not None and "@" not in found.name[1:]:
        return Bytes(found.ecosystem, found.name, version, digest)
    bundle = package.removeprefix("pkg:generic/")
    if bundle not in {"", package} and not set("@?#") & set(bundle):
        return Bytes("generic", unquote(bundle), version, digest)
    raise AuditsError(
        f"`{visible(package[:MAX_SHOWN])}` is no package URL without a version: "
        "`pkg:npm/NAME`, `pkg:pypi/NAME` or, of a bundle, `pkg:generic/NAME`"
    )


def versions_of(audit: Audit) -> tuple[str | None, str]:
    """Give from which version an audit leads to which; None: it is of the whole."""
    if audit.delta is None:
        return None, audit.version or ""
    before, _, after = audit.delta.partition(" -> ")
    return before.strip(), after.strip()


def _refused(source: str, problems: Iterable[tuple[str, str]]) -> AuditsError:
    lines = "".join(
        f"\n  {(path or source)[:MAX_SHOWN]}: {sentence}" for path, sentence in problems
    )
    return AuditsError(f"`{source}` is not valid:{lines}")


def _broken(found: AuditsFile) -> Iterator[tuple[str, str]]:
    """Give path and sentence of what each field allows and the file does not mean."""
    known = found.criteria.keys()
    if len(known) > MAX_CRITERIA:
        yield "criteria", f"are more than {MAX_CRITERIA}"
    for name, criterion in found.criteria.items():
        yield from _unknown(f"{below('criteria', name)}.implies", criterion.implies, known)
    for place, audit in enumerate(found.audits):
        yield from _broken_audit(f"audits[{place}]", audit)
        yield from _unknown(f"audits[{place}].criteria", audit.criteria, known)
    for place, trusted in enumerate(found.trusted):
        yield from _unknown(f"trusted[{place}].criteria", trusted.criteria, known)
        if trusted.start >= trusted.end:
            yield f"trusted[{place}].end", "must be later than `start`"
        for at, package in enumerate(trusted.packages):
            yield from _no_package(f"trusted[{place}].packages[{at}]", package)
    for place, exemption in enumerate(found.exemptions):
        yield from _no_package(f"exemptions[{place}].package", exemption.package)
        yield from _unknown(f"exemptions[{place}].criteria", exemption.criteria, known)
    for name, settings in found.imports.items():
        path = f"{below('imports', name)}.criteria"
        for theirs, ours in settings.criteria.items():
            yield from _unknown(below(path, theirs), ours, known)


def _broken_audit(path: str, audit: Audit) -> Iterator[tuple[str, str]]:
    bad = list(_no_package(f"{path}.package", audit.package))
    yield from bad
    if (audit.version is None) == (audit.delta is None):
        yield path, "must have either `version` or `delta`"
    elif not all(it is None or it for it in versions_of(audit)):
        yield f"{path}.delta", "must be `FROM -> TO`"
    if bad:
        return
    kind = DIGESTS[bytes_of(audit.package, "", "").ecosystem]
    wanted = {kind, f"from_{kind}"} if audit.delta is not None else {kind}
    for key in ("sha256", "sha512", "from_sha256", "from_sha512"):
        given = getattr(audit, key) is not None
        if key in wanted and not given:
            yield below(path, key), "is missing: an audit is of bytes, not of a name"
        if key not in wanted and given:
            yield below(path, key), f"does not belong here: only {_listed(wanted)} does"


def _listed(names: Iterable[str]) -> str:
    return " and ".join(f"`{it}`" for it in sorted(names, reverse=True))


def _no_package(path: str, package: str) -> Iterator[tuple[str, str]]:
    try:
        bytes_of(package, "", "")
    except AuditsError as exc:
        yield path, str(exc)


def _unknown(path: str, names: Iterable[str], known: Set[str]) -> Iterator[tuple[str, str]]:
    for place, name in enumerate(names):
        if name not in known:
            yield f"{path}[{place}]", f"`{visible(name[:MAX_SHOWN])}` is not in `criteria`"
