"""The pages on the log: their commands run, and their tables have all that there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec

from bascule.audit.record import Record
from bascule.audit.verify import Verdict

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = (DOCS / "reference" / "audit-log.md").read_text()
GUIDE = (DOCS / "how-to" / "verify-the-log.md").read_text()


def fields(struct: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(struct)}


def table(heading: str) -> dict[str, str]:
    """Give the rows of the table below a heading, by what stands first in them."""
    text = REFERENCE.partition(heading)[2].partition("\n\n|")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))


def test_every_field_of_a_record_is_described() -> None:
    rows = table("## What is in a record")
    assert set(rows) == fields(Record)
    assert list(rows) == sorted(rows)


def test_every_key_of_the_verdict_is_described() -> None:
    assert set(table("## What `verify` tells")) == fields(Verdict)


def test_the_guide_to_verifying_runs(tmp_path: Path) -> None:
    commands = re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    assert len(commands) > 5
    script = "\n".join(["set -eu", "bascule user add alice", *commands])
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=tmp_path,
        env={
            "HOME": str(tmp_path),
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "XDG_DATA_HOME": str(tmp_path / "data"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("1 records verified against the checkpoint") == 2
