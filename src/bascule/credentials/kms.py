"""Keys that another program keeps: the plug-in for key management services.

`kms:COMMAND` names a program. For each data key it is started, without a shell, and gets
one JSON object on its standard input: `{"op": "wrap", "key": BASE64, "context": BASE64}`
or `{"op": "unwrap", "wrapped": BASE64, "context": BASE64}`. It answers on its standard
output with `{"wrapped": BASE64}` or `{"key": BASE64}`. The context must be authenticated
and the same at both: what the services call encryption context or additional data. Data
keys that were unwrapped stay in memory: no call waits for the program a second time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import shlex
import subprocess
from collections import OrderedDict
from typing import Literal

import msgspec

from bascule.credentials.wrapping import VaultError

SECONDS = 10
MAX_WRAPPED_BYTES = 16 << 10
MAX_REMEMBERED = 10_000


class _Answer(msgspec.Struct):
    wrapped: str = ""
    key: str = ""


class KmsCommand:
    """A key that a program has and gives to nobody."""

    def __init__(self, command: str) -> None:
        """`command`: words as a shell would part them. Raises `VaultError`."""
        try:
            self._arguments = shlex.split(command)
        except ValueError as exc:
            raise VaultError("`vault.key`: the command of `kms:` cannot be read") from exc
        if not self._arguments:
            raise VaultError("`vault.key`: `kms:` names no command")
        self.id = "kms-" + hashlib.sha256(command.encode()).hexdigest()[:16]
        self._known: OrderedDict[bytes, bytes] = OrderedDict()

    def wrap(self, key: bytes, bound: bytes) -> bytes:
        """Have a data key encrypted. Raises `VaultError`."""
        wrapped = self._ask("wrap", {"key": key, "context": bound})
        self._remember(wrapped, bound, key)
        return wrapped

    def unwrap(self, wrapped: bytes, bound: bytes) -> bytes:
        """Have a data key decrypted. Raises `VaultError`."""
        known = self._known.get(_name(wrapped, bound))
        if known is not None:
            return known
        key = self._ask("unwrap", {"wrapped": wrapped, "context": bound})
        self._remember(wrapped, bound, key)
        return key

    def _remember(self, wrapped: bytes, bound: bytes, key: bytes) -> None:
        if len(self._known) >= MAX_REMEMBERED:
            self._known.popitem(last=False)
        self._known[_name(wrapped, bound)] = key

    def _ask(self, op: Literal["wrap", "unwrap"], values: dict[str, bytes]) -> bytes:
        asked = {name: base64.b64encode(it).decode() for name, it in values.items()}
        program = self._arguments[0]
        try:
            done = subprocess.run(  # noqa: S603 - the operator names the program
                self._arguments,
                input=msgspec.json.encode({"op": op, **asked}),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS,
                check=True,
            )
            answer = msgspec.json.decode(done.stdout, type=_Answer)
            text = answer.wrapped if op == "wrap" else answer.key
            found = base64.b64decode(text, validate=True)
        except (OSError, subprocess.SubprocessError) as exc:
            raise VaultError(f"the key service `{program}` did not {op} a key") from exc
        except (msgspec.DecodeError, binascii.Error, ValueError) as exc:
            raise VaultError(f"the key service `{program}` answered nonsense") from exc
        if not 0 < len(found) <= MAX_WRAPPED_BYTES:
            raise VaultError(f"the key service `{program}` answered nonsense")
        return found


def _name(wrapped: bytes, bound: bytes) -> bytes:
    return hashlib.sha256(bound + b"\0" + wrapped).digest()
