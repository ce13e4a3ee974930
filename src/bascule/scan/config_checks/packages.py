"""What a command starts: open versions, names like others, releases that are known bad."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from bascule.lock.advisories import (
    ECOSYSTEMS,
    Advisory,
    PackageVersion,
    concerns,
    normalised,
)
from bascule.lock.advisories import fixed_in as fixed_in_advisory
from bascule.lock.names import well_known
from bascule.scan import incidents
from bascule.scan.config_checks import Subject
from bascule.scan.finding import Finding
from bascule.scan.redaction import redacted
from bascule.scan.report import Gap
from bascule.scan.rules.configs import (
    FLOATING_VERSION,
    LOOKALIKE_PACKAGE,
    MALICIOUS_RELEASE,
    SHELL_COMMAND,
    VULNERABLE_VERSION,
)

Packages = frozenset[tuple[str, str]]
"""Ecosystem as OSV names it, and name."""
Known = Callable[[Packages], Mapping[tuple[str, str], Iterable[Advisory]]]
"""Gives the advisories that were imported about packages."""


def floating_version(subject: Subject) -> Iterator[Finding]:
    """Find launchers that choose a version at each start."""
    started = subject.started
    if started.pinned is not False:
        return
    named = redacted(started.package)
    how = (
        "an image by a tag that can be moved"
        if started.ecosystem == "oci"
        else "no version"
    )
    if started.ecosystem != "oci" and started.package != named:
        how = "an address"
    yield subject.finding(
        FLOATING_VERSION, f"`{started.words[0]}` is told `{named}`, and {how}", key=named
    )


def lookalike(subject: Subject) -> Iterator[Finding]:
    """Find packages whose names resemble well-known ones."""
    started = subject.started
    if started.ecosystem not in ("npm", "pypi"):
        return
    for warning in well_known().warnings(started.ecosystem, started.package):
        yield subject.finding(LOOKALIKE_PACKAGE, warning, key=started.package)
        return


def shell_command(subject: Subject) -> Iterator[Finding]:
    """Find shells that are given a text which is more than one command."""
    if not subject.started.opaque:
        return
    text = " ".join(subject.started.words)
    fetches = any(word in text for word in ("curl ", "wget ", "Invoke-WebRequest", "iwr "))
    yield subject.finding(
        SHELL_COMMAND,
        f"`{subject.started.program}` is given "
        + ("what fetches a text and may run it" if fetches else "more than one command"),
        severity="high" if fetches else None,
    )


def package_of(subject: Subject) -> tuple[str, str] | None:
    """Give ecosystem and name, as advisories have them, of what a server starts."""
    ecosystem = ECOSYSTEMS.get(subject.started.ecosystem or "")
    if ecosystem is None or not subject.started.package:
        return None
    return ecosystem, normalised(ecosystem, subject.started.package)


def shipped_incidents(subject: Subject) -> Iterator[Finding]:
    """Hold a server against the table that is shipped."""
    package = package_of(subject)
    if package is None:
        return
    started = subject.started
    for incident in incidents.about(*package):
        affected = started.version and incidents.affects(
            incident, *package, started.version
        )
        shown = f"{started.package} {started.version}".rstrip()
        if incident.is_malicious and (affected or not started.version):
            yield subject.finding(
                MALICIOUS_RELEASE,
                f"{shown}: {incident.id}: {incident.cause} ({incident.source})",
                key=incident.id,
                severity=None if affected else "high",
            )
        elif affected:
            yield subject.finding(
                VULNERABLE_VERSION,
                f"{shown}: {incident.id}: {incident.cause} ({incident.source})",
                key=incident.id,
                fix=f"Use {started.package} {incident.fixed} or later."
                if incident.fixed
                else None,
            )


def undecided(subject: Subject) -> Iterator[Gap]:
    """Tell of which incidents the shipped table knows the package, and not the versions."""
    package, version = package_of(subject), subject.started.version
    if package is None or not version:
        return
    ids = [
        incident.id
        for incident in incidents.about(*package)
        if incidents.affects(incident, *package, version) is None
    ]
    if ids:
        yield Gap(
            target=subject.server.target,
            what=f"whether {', '.join(ids)} concerns {subject.started.package} {version}",
            why="the versions are not in the table that is shipped: import advisories with "
            "`bascule import osv`, and name the data directory",
        )


def imported_advisories(
    subject: Subject, known: Mapping[tuple[str, str], Iterable[Advisory]]
) -> Iterator[Finding]:
    """Hold a server against the advisories that were imported into a data directory."""
    package, version = package_of(subject), subject.started.version
    if package is None or not version:
        return
    held = PackageVersion(*package, version)
    for advisory in known.get(package, ()):
        if concerns(advisory, held) != "affected":
            continue
        names = {advisory.id, *advisory.aliases}
        fixed = ", ".join(fixed_in_advisory(advisory, held))
        yield subject.finding(
            MALICIOUS_RELEASE if advisory.is_malware else VULNERABLE_VERSION,
            f"{held.name} {version}: {advisory.id}: {advisory.summary[:200]}",
            key=next((it for it in sorted(names) if it.startswith("CVE-")), advisory.id),
            fix=f"Use {held.name} {fixed}." if fixed else None,
        )
