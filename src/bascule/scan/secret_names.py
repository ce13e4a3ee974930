"""Whether what has a name is a secret: of variables, headers, options and parameters."""

from __future__ import annotations

import re
from itertools import pairwise

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_STRONG = frozenset(
    {
        *("token", "secret", "secrets", "password", "passwd", "passphrase", "passwort"),
        *("pwd", "pass", "apikey", "credential", "credentials", "authorization"),
        *("bearer", "pat", "cookie", "jwt", "dsn", "authtoken", "accesstoken", "otp"),
        *("secretkey", "apitoken", "accesskey", "privatekey", "webhook", "mnemonic"),
        *("apisecret", "clientsecret"),
    }
)
_BEFORE_KEY = frozenset(
    {
        *("api", "access", "private", "secret", "auth", "encryption", "signing"),
        *("service", "account", "master", "admin", "license", "app", "client", "shared"),
    }
)
_WEAK = frozenset({"key", "auth", "session", "signature", "sig", "code", "seed", "salt"})
_NOT_THE_VALUE = frozenset(
    {
        *("path", "file", "filename", "dir", "directory", "folder", "url", "uri", "host"),
        *("endpoint", "name", "id", "ids", "type", "kind", "mode", "ttl", "expiry"),
        *("expires", "expiration", "limit", "limits", "count", "max", "min", "length"),
        *("size", "budget", "header", "prefix", "var", "vars", "variable", "env", "alg"),
        *("provider", "method", "scheme", "enabled", "required", "scope", "scopes"),
        *("algorithm", "issuer", "cmd", "audience", "command", "helper", "store"),
        *("version", "location", "region", "port", "timeout", "usage", "window", "per"),
        *("rotation", "format", "field", "policy"),
    }
)
"""Last words of names whose value only tells of a secret."""
_HASHES = frozenset(
    {"commit", "sha", "sha256", "hash", "digest", "rev", "revision", "checksum"}
    | {"integrity"}
)


def names_secret(name: str) -> bool:
    """Tell whether what has that name is a secret: `apiKey`, `--password`."""
    words = _words(name)
    if not words or words[-1] in _NOT_THE_VALUE or words[0] in ("max", "min", "num"):
        return False
    if not _STRONG.isdisjoint(words):
        return True
    pairs = pairwise(words)
    return any(
        (second == "key" and first in _BEFORE_KEY)
        or (first, second) == ("connection", "string")
        for first, second in pairs
    )


def names_weakly(name: str) -> bool:
    """Tell whether what has that name may be a secret: `key`, `auth`, `session`."""
    words = _words(name)
    return bool(words) and words[-1] in _WEAK and "public" not in words


def names_hash(name: str) -> bool:
    """Tell whether what has that name is a digest of something public."""
    return not _HASHES.isdisjoint(_words(name))


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name[:200])]
