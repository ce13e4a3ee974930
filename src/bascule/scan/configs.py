"""The scan of clients' files: which servers they name, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from bascule.scan.clients.places import Home
from bascule.scan.config_checks import Check, Subject, packages, reach, secrets, settings
from bascule.scan.config_files import Document
from bascule.scan.config_inventory import Inventory, inventory
from bascule.scan.configured import Configured
from bascule.scan.entry_words import clean
from bascule.scan.finding import Finding
from bascule.scan.project_walk import Looking
from bascule.scan.report import Gap, Report, merged
from bascule.scan.started import what_starts
from bascule.scan.through import DEFAULT, through_bascule

_CHECKS: tuple[Check, ...] = (
    packages.floating_version,
    packages.lookalike,
    packages.shell_command,
    packages.shipped_incidents,
    secrets.plain_secrets,
    reach.auto_approved,
    reach.cleartext,
    reach.container,
    reach.tls_unverified,
    reach.listens_beyond,
)


@dataclass(frozen=True, slots=True)
class Scanned:
    """The result of a scan of files."""

    report: Report
    servers: tuple[Configured, ...]
    """As the files have them, in the order of the report's rows; never to be printed."""
    files: tuple[str, ...]
    """Those that were read."""


def scan_configs(
    homes: Sequence[Home] = (),
    paths: Sequence[str] = (),
    *,
    public_urls: Collection[str] = (),
    advisories: packages.Known | None = None,
    walk: int | None = None,
    looking: Looking | None = None,
) -> Scanned:
    """Scan the files of the clients of some homes, and files and folders that are named.

    `public_urls` are those of Bascules beside the default one; `walk` is the number of
    folders that are searched for projects, each of which `looking` is told. Nothing that is
    found makes it raise, nothing is started, and nothing is sent.
    """
    found = inventory(homes, paths, walk=walk, looking=looking)
    subjects = _subjects(found, (*DEFAULT, *public_urls))
    findings = [*_of_documents(found), *_of_servers(subjects)]
    if advisories is not None:
        findings += _of_advisories(subjects, advisories)
    report = Report(
        servers=tuple(
            it.server.row(pinned=it.started.pinned, through_bascule=it.through_bascule)
            for it in subjects
        ),
        findings=tuple(findings),
        not_assessed=(*found.gaps, *_undecided(subjects, advisories)),
    )
    files = dict.fromkeys(document.path for document, _ in found.documents)
    return Scanned(merged([report]), tuple(it.server for it in subjects), tuple(files))


def _subjects(found: Inventory, public_urls: Collection[str]) -> list[Subject]:
    documents: dict[str, Document] = {
        clean(document.path): document for document, _ in found.documents
    }
    subjects = []
    for server in found.servers:
        started = what_starts(server.command)
        through = through_bascule(server, started, public_urls)
        subjects.append(Subject(server, started, through, documents[server.path]))
    return subjects


def _of_documents(found: Inventory) -> Iterator[Finding]:
    for document, location in found.documents:
        yield from settings.of_document(document, location)


def _of_servers(subjects: Sequence[Subject]) -> Iterator[Finding]:
    is_used = any(it.through_bascule for it in subjects)
    for subject in subjects:
        for check in _CHECKS:
            yield from check(subject)
        yield from reach.around_bascule(subject, is_used=is_used)


def _undecided(subjects: Sequence[Subject], known: packages.Known | None) -> Iterator[Gap]:
    for subject in subjects if known is None else ():
        yield from packages.undecided(subject)


def _of_advisories(subjects: Sequence[Subject], known: packages.Known) -> Iterator[Finding]:
    named = frozenset(filter(None, map(packages.package_of, subjects)))
    about = known(named)
    for subject in subjects:
        yield from packages.imported_advisories(subject, about)
