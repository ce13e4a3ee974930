"""Keys that a program keeps: what it is given and gives, and what goes wrong with it."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from bascule.credentials.kms import KmsCommand
from bascule.credentials.wrapping import VaultError

PLUGIN = """#!{python}
import base64, json, sys
from pathlib import Path
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
asked = json.load(sys.stdin)
with Path({counted!r}).open("a") as file:
    file.write(asked["op"] + "\\n")
cipher, take = AESGCM(b"k" * 32), lambda name: base64.b64decode(asked[name])
if asked["op"] == "wrap":
    nonce = b"n" * 12
    given = {{"wrapped": nonce + cipher.encrypt(nonce, take("key"), take("context"))}}
else:
    wrapped = take("wrapped")
    given = {{"key": cipher.decrypt(wrapped[:12], wrapped[12:], take("context"))}}
print(json.dumps({{name: base64.b64encode(it).decode() for name, it in given.items()}}))
"""


def program(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    text = PLUGIN.format(python=sys.executable, counted=str(tmp_path / "asked"))
    return program(tmp_path / "plugin", text)


def test_a_key_goes_to_the_program_and_comes_back_bound(
    plugin: str, tmp_path: Path
) -> None:
    wrapped = KmsCommand(plugin).wrap(b"data key", b"user:alice")
    assert b"data key" not in wrapped
    later = KmsCommand(plugin)
    for _ in range(3):
        assert later.unwrap(wrapped, b"user:alice") == b"data key"
    assert (tmp_path / "asked").read_text().split() == ["wrap", "unwrap"]
    with pytest.raises(VaultError, match="did not unwrap"):
        later.unwrap(wrapped, b"user:bob")


@pytest.mark.parametrize(
    "script",
    ["exit 1", "echo nonsense", "echo '{}'", 'echo \'{"wrapped": "%%"}\''],
    ids=["fails", "no JSON", "nothing in it", "no Base64"],
)
def test_a_program_that_does_not_answer_keeps_nothing(tmp_path: Path, script: str) -> None:
    broken = program(tmp_path / "broken", f"#!/bin/sh\ncat >/dev/null\n{script}\n")
    with pytest.raises(VaultError, match="broken") as caught:
        KmsCommand(broken).wrap(b"canary of a key", b"user:alice")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("command", ["", "'open", "/nowhere/at/all"])
def test_what_cannot_be_started_is_said(command: str) -> None:
    with pytest.raises(VaultError, match=r"key service|kms:"):
        KmsCommand(command).wrap(b"key", b"owner")
