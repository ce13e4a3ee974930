"""References to secrets: each kind is read where it says, and no error repeats a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from bascule.app.secrets import key_bytes, resolve_secret
from bascule.errors import BasculeError

KEY = bytes(range(32))


def test_each_kind_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s").touch(0o600)
    (tmp_path / "s").write_text("of a file\n")
    monkeypatch.setenv("BASCULE_TEST_SECRET", "of the environment")
    assert resolve_secret(f"file:{tmp_path / 's'}") == "of a file"
    assert resolve_secret("env:BASCULE_TEST_SECRET") == "of the environment"


def test_a_keyring_is_asked_by_service_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend in memory: a machine without a desktop has no real one."""
    import keyring
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1  # type: ignore[assignment]

        def get_password(self, service: str, username: str) -> str | None:
            return "of the keyring" if (service, username) == ("a/b", "c") else None

        def set_password(self, service: str, username: str, password: str) -> None:
            raise NotImplementedError

    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    try:
        assert resolve_secret("keyring:a/b/c") == "of the keyring"
        with pytest.raises(BasculeError, match="keyring set a/b d"):
            resolve_secret("keyring:a/b/d")
        with pytest.raises(BasculeError, match="SERVICE/NAME"):
            resolve_secret("keyring:alone")
    finally:
        keyring.set_keyring(before)


def test_a_system_without_keyring_says_so() -> None:
    import keyring
    from keyring.backends.fail import Keyring

    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())  # type: ignore[no-untyped-call]
    try:
        with pytest.raises(BasculeError, match="no keyring"):
            resolve_secret("keyring:a/b")
    finally:
        keyring.set_keyring(before)


@pytest.mark.parametrize("text", ["", "x", "AAAA", "00" * 31, "zz" * 32, "canary" * 8])
def test_what_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(BasculeError, match="32 random bytes") as caught:
        key_bytes("vault.key", text)
    assert not text or text not in str(caught.value)


def test_a_key_is_read_from_hex_and_base64() -> None:
    text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    assert key_bytes("vault.key", text) == key_bytes("vault.key", KEY.hex()) == KEY
