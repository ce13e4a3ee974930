"""Packages to be audited, and `audits.toml` about them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from bascule.clock import UnixTime
from bascule.lock.audits import Audits, take_together
from bascule.lock.audits_file import parse_audits
from bascule.lock.model import Access, Artifact, Entry, Launch, Package, Provenance, Source
from bascule.lock.reviews import Review, assess_audits

NOW = UnixTime(1_790_000_000)  # 2026-09-21
CRITERIA = """
[criteria.safe-to-run]
description = "Does what it says, and nothing to the machine."
[criteria.safe-to-deploy]
description = "Also holds against hostile input."
implies = ["safe-to-run"]
"""


def sha256(name: str) -> str:
    """Give a digest to tell bytes by."""
    return hashlib.sha256(name.encode()).hexdigest()


def sha512(name: str) -> str:
    """Give a digest to tell bytes by."""
    return hashlib.sha512(name.encode()).hexdigest()


def npm(name: str, version: str, content: str = "") -> Package:
    """Make a package of npm, whose bytes are those of its version."""
    digest = sha512(content or f"{name} {version}")
    purl = f"pkg:npm/{name.replace('@', '%40')}@{version}"
    return Package(purl, Artifact("x.tgz", sha512=digest))


def pypi(name: str, version: str, provenance: Provenance | None = None) -> Package:
    """Make a package of PyPI, published three weeks before `NOW`."""
    return Package(
        f"pkg:pypi/{name}@{version}",
        Artifact("x.whl", sha256=sha256(f"{name} {version}")),
        published_at="2026-09-01T00:00:00Z",
        provenance=provenance or Provenance("absent"),
    )


def entry(*packages: Package) -> Entry:
    """Make an entry of packages."""
    source, launch = Source("npm", "left"), Launch("stdio", ("npx", "left"))
    return Entry(source, launch, Access(), packages=packages)


def audit(
    name: str, version: str, *, criteria: str = "safe-to-run", who: str = "alice"
) -> str:
    """Write an audit of all of a version of an npm package."""
    return f"""
[[audits]]
package = "pkg:npm/{name}"
version = "{version}"
sha512 = "{sha512(f"{name} {version}")}"
criteria = ["{criteria}"]
who = "{who}"
"""


def delta(
    name: str,
    before: str,
    after: str,
    *,
    criteria: str = "safe-to-run",
    who: str = "bob",
    start: str = "",
) -> str:
    """Write an audit of what differs between two; `start`: of which bytes it starts."""
    return f"""
[[audits]]
package = "pkg:npm/{name}"
delta = "{before} -> {after}"
from_sha512 = "{sha512(start or f"{name} {before}")}"
sha512 = "{sha512(f"{name} {after}")}"
criteria = ["{criteria}"]
who = "{who}"
"""


def exemption(package: str, version: str, *, until: str = "2027-01-01") -> str:
    """Write an exemption."""
    return f"""
[[exemptions]]
package = "{package}"
version = "{version}"
criteria = ["safe-to-run"]
reason = "was here before"
until = {until}
"""


def trusted(
    packages: str = "pkg:pypi/*",
    *,
    repository: str = "github.com/acme/anyio",
    start: str = "2026-01-01",
    end: str = "2027-01-01",
) -> str:
    """Write that a workflow is trusted."""
    return f"""
[[trusted]]
issuer = "https://issuer.example"
repository = "{repository}"
workflow = "{WORKFLOW}"
packages = ["{packages}"]
criteria = ["safe-to-run"]
start = {start}
end = {end}
"""


WORKFLOW = "https://github.com/acme/anyio/.github/workflows/publish.yml"
BUILT = Provenance(
    "verified",
    issuer="https://issuer.example",
    repository="github.com/acme/anyio",
    workflow=f"{WORKFLOW}@refs/tags/1.0",
)


def others(name: str, text: str, settings: str) -> str:
    """Write the import of a file with that text."""
    return f"""
[imports.{name}]
file = "audits/{name}.toml"
sha256 = "{hashlib.sha256(text.encode()).hexdigest()}"
{settings}
"""


def audits(text: str, files: Mapping[str, str] | None = None) -> Audits:
    """Read our file, with `CRITERIA` in front, and those that it imports."""
    ours = parse_audits((CRITERIA + text).encode(), source="audits.toml")
    contents = {name: content.encode() for name, content in (files or {}).items()}
    return take_together(ours, contents)


def review(
    package: Package,
    text: str,
    *,
    criterion: str = "safe-to-run",
    files: Mapping[str, str] | None = None,
    now: UnixTime = NOW,
) -> Review:
    """Say what is known of one package."""
    found = assess_audits(entry(package), audits(text, files), now=now)
    (only,) = found.by_criterion[criterion]
    return only
