"""Whether a value in a file is a secret in plain text: by its look, its name, its letters.

A reference to a secret is none, nor is what stands for one in a template.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from urllib.parse import parse_qsl, urlsplit

from bascule.scan.known_secrets import known_secret
from bascule.scan.pruning import LONGEST_TEXT
from bascule.scan.secret_names import names_hash, names_secret, names_weakly

_REFERENCE = re.compile(
    r"\$\{\{[^{}]*\}\}"
    r"|\$\{(?:env:)?(?:[A-Za-z_]\w*:|[A-Z_][A-Z0-9_]*:?)-(?P<default>[^{}]*)\}"
    r"|\$\{[^{}]*\}"
    r"|\{\{[^{}]*\}\}|\{(?:env|file|input):[^{}]*\}"
    r"|\$\([^()]*\)|%[A-Za-z_][A-Za-z0-9_]*%|\$[A-Z_][A-Z0-9_]*"
)
_REFERENCE_WHOLE = re.compile(
    r"(?:env|file|keyring|vault):[\w@./:#?=&-]+"
    r"|(?:op|bws|pass|secret|ref|keychain|vault)[\w+-]*://[\w@./:#?=&-]+"
    r"|arn:aws[\w-]*:secretsmanager:\S+"
)
_PLACEHOLDER = re.compile(
    r"<[^<>]*>|\[[A-Za-z _-]+\]|[x*.•_-]{3,}"
    r"|(?:sk|ghp|gh|xox\w|pk|key|token)?[-_]*[x*.•]{3,}\S*"
    r"|your\S.*|(?:insert|enter|paste|replace|fill|add|put)[-_ ]\S.*"
    r"|.*[-_ ](?:goes[-_ ])?here|.*change[-_ ]?(?:me|this|it).*|.*placeholder.*"
    r"|.*redacted.*"
    r"|to[-_ ]?do|tbd|none|null|nil|undefined|empty|string|value|secret|password|token"
    r"|(?:api|access|secret)?[-_ ]?key|n/?a|true|false|yes|no|on|off|default|auto|required"
    r"|optional|basic|bearer|oauth2?|dummy|sample",
    re.IGNORECASE,
)

_PATH = re.compile(r"(?:~|\.{0,2})/[\w.@ -]+(?:/[\w.@ -]*)*|[A-Za-z]:[\\/].*")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z0-9+/_=.~-]+")
_SCHEME = re.compile(r"(?:bearer|basic|token|apikey|bot|key)[ :]+", re.IGNORECASE)

_SHORTEST = 4
_SHORTEST_RANDOM = 20
_BITS = 3.5
"""Of entropy in each character, from which on a long word looks random."""


def secret_in(name: str, value: str) -> str | None:
    """Say what kind of secret a value is, in words; None when it is none.

    `name` is that of the variable, header or option. For any strings.
    """
    rest = without_references(value[:LONGEST_TEXT]).strip().strip("\"'")
    rest = _SCHEME.sub("", rest, count=1).strip()
    if not rest or _REFERENCE_WHOLE.fullmatch(rest):
        return None
    kind = known_secret(rest)
    if kind is not None:
        return kind
    if _PLACEHOLDER.fullmatch(rest):
        return None
    if "://" in rest:
        return _secret_of_url(rest)
    if names_secret(name) and _may_be_secret(rest):
        return "a secret, by its name"
    if names_weakly(name) and _is_key_like(rest):
        return "a secret, by its name"
    return "a random text" if _is_random(name, rest) else None


def without_references(value: str) -> str:
    """Take references out; what one falls back to stays."""
    return _REFERENCE.sub(lambda match: match["default"] or "", value)


def looks_random(text: str) -> bool:
    """Tell whether a word is one that nobody would write by hand."""
    if len(text) < _SHORTEST_RANDOM or not _TOKEN.fullmatch(text):
        return False
    if re.fullmatch(r"[0-9a-fA-F]{32,}", text):
        return True
    has = (re.search(pattern, text) for pattern in (r"[a-z]", r"[A-Z]", r"[0-9]"))
    return all(has) and _entropy(text) >= _BITS and len(re.findall(r"[/._-]", text)) <= 4


def _may_be_secret(text: str) -> bool:
    return len(text) >= _SHORTEST and not _PATH.fullmatch(text)


def _is_key_like(text: str) -> bool:
    has_both = re.search(r"[0-9]", text) and re.search(r"[A-Za-z]", text)
    return (
        len(text) >= 12 and bool(has_both) and " " not in text and not _PATH.fullmatch(text)
    )


def _is_random(name: str, text: str) -> bool:
    if _PATH.fullmatch(text) or _UUID.fullmatch(text) or names_hash(name):
        return False
    return looks_random(text)


def _secret_of_url(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        password, user, query = parts.password, parts.username, parse_qsl(parts.query)
    except ValueError:
        return None
    if password and not _PLACEHOLDER.fullmatch(password):
        return "a password in a URL"
    if user and looks_random(user):
        return "a token in a URL"
    for name, value in query:
        if "://" not in value and secret_in(name, value):
            return "a token in a URL"
    if any(looks_random(part) for part in parts.path.split("/")):
        return "a random text in a URL"
    return None


def _entropy(text: str) -> float:
    counts = Counter(text).values()
    return -sum(each / len(text) * math.log2(each / len(text)) for each in counts)
