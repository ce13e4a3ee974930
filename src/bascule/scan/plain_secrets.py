"""Whether a value in a file is a secret in plain text: by its look, its name, its letters.

A reference to a secret is none, nor is what stands for one in a template.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise
from urllib.parse import parse_qsl, urlsplit

KNOWN = (
    ("a private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    ("an age key", r"AGE-SECRET-KEY-1[0-9A-Z]{20,}"),
    ("a GitHub token", r"gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,}"),
    ("a GitLab token", r"gl(?:pat|dt|rt|ptt|agent|oas|ft)-[A-Za-z0-9_.-]{16,}"),
    ("an Anthropic key", r"sk-ant-[A-Za-z0-9_-]{8,}"),
    ("a Stripe key", r"[rs]k_(?:live|test)_[A-Za-z0-9]{10,}"),
    ("a key of a model's provider", r"sk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}"),
    (
        "a key of a model's provider",
        r"(?:gsk_|xai-|pplx-|nvapi-|r8_|hf_)(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}",
    ),
    ("a Slack token", r"xox[abeoprs]-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{10,}"),
    ("a Slack webhook", r"hooks\.slack\.com/services/[A-Za-z0-9/]{16,}"),
    ("an AWS key", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"),
    (
        "a Google key",
        r"AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{16,}|GOCSPX-[\w-]{16,}",
    ),
    ("an npm token", r"npm_[A-Za-z0-9]{30,}"),
    ("a PyPI token", r"pypi-AgEI[A-Za-z0-9_-]{16,}"),
    ("a Docker token", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{16,}"),
    ("a SendGrid key", r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("a DigitalOcean token", r"do[opr]_v1_[a-f0-9]{32,}"),
    ("a Shopify token", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{24,}"),
    ("a Linear key", r"lin_(?:api|oauth)_[A-Za-z0-9]{16,}"),
    ("a Notion token", r"(?:ntn_|secret_)[A-Za-z0-9]{30,}"),
    ("a Figma token", r"fig[dou]_[A-Za-z0-9_-]{16,}"),
    ("a Sentry token", r"sntry[su]_[A-Za-z0-9_=-]{16,}"),
    ("a Supabase token", r"sbp_[a-f0-9]{24,}"),
    ("an Atlassian token", r"ATATT3[A-Za-z0-9_=-]{16,}|ATCTT3[A-Za-z0-9_=-]{16,}"),
    ("a Databricks token", r"dapi[a-f0-9]{32}"),
    ("a Vault token", r"hv[sbr]\.[A-Za-z0-9_-]{16,}"),
    ("a Tavily key", r"tvly-[A-Za-z0-9_-]{16,}"),
    ("an Apify token", r"apify_api_[A-Za-z0-9]{16,}"),
    ("a Telegram token", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{32,}"),
    ("a Bascule token", r"bsc_(?:ad|rt|ac|ck)_[A-Za-z0-9_-]{16,}"),
    ("a signed token", r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.?[A-Za-z0-9_-]*"),
)
"""What issuers begin their secrets with, so that they are found when they leak."""
_ALONE = r"(?<![A-Za-z0-9])"
"""Not within a word: `task-…` is no key that begins with `sk-`."""
KNOWN_SECRET = re.compile(f"{_ALONE}(?:{'|'.join(pattern for _, pattern in KNOWN)})")

_KINDS = tuple((kind, re.compile(f"{_ALONE}(?:{pattern})")) for kind, pattern in KNOWN)

_REFERENCE = re.compile(
    r"\$\{\{[^{}]*\}\}"
    r"|\$\{[^{}]*?:?-(?P<default>[^{}]*)\}"
    r"|\$\{[^{}]*\}"
    r"|\{\{[^{}]*\}\}|\{(?:env|file|input):[^{}]*\}"
    r"|\$\([^()]*\)|%[A-Za-z_][A-Za-z0-9_]*%|\$[A-Z_][A-Z0-9_]*"
)
_REFERENCE_WHOLE = re.compile(
    r"(?:env|file|keyring|keychain|vault|secret|op|bws|pass|aws-sm|gcp-sm|ref)"
    r":(?://)?[\w@./:#?=&-]+|arn:aws[\w-]*:secretsmanager:\S+|!\w+"
)
_PLACEHOLDER = re.compile(
    r"<[^<>]*>|\[[A-Za-z _-]+\]|[x*.•_-]{3,}"
    r"|(?:sk|ghp|gh|xox\w|pk|key|token)?[-_]*[x*.•]{3,}\S*"
    r"|(?:your|insert|enter|paste|replace|fill|add|put)[-_ ]?\S.*"
    r"|.*[-_ ](?:goes[-_ ])?here|.*change[-_ ]?(?:me|this|it).*|.*placeholder.*"
    r"|.*redacted.*"
    r"|to[-_ ]?do|tbd|none|null|nil|undefined|empty|string|value|secret|password|token"
    r"|(?:api|access|secret)?[-_ ]?key|n/?a|true|false|yes|no|on|off|default|auto|required"
    r"|optional|basic|bearer|oauth2?|dummy|sample",
    re.IGNORECASE,
)

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_STRONG = frozenset(
    {
        *("token", "secret", "secrets", "password", "passwd", "passphrase", "passwort"),
        *("pwd", "pass", "apikey", "credential", "credentials", "authorization", "bearer"),
        *(
            "pat",
            "cookie",
            "jwt",
            "dsn",
            "authtoken",
            "accesstoken",
            "secretkey",
            "apitoken",
        ),
        *("accesskey", "privatekey", "webhook", "mnemonic", "otp", "apisecret"),
    }
)
_BEFORE_KEY = frozenset(
    {"api", "access", "private", "secret", "auth", "encryption", "signing", "service",
     "account", "master", "admin", "license", "app", "client", "shared"}
)  # fmt: skip
_WEAK = frozenset({"key", "auth", "session", "signature", "sig", "code", "seed", "salt"})
_NOT_THE_VALUE = frozenset(
    {
        *(
            "path",
            "file",
            "filename",
            "dir",
            "directory",
            "folder",
            "url",
            "uri",
            "endpoint",
        ),
        *("host", "name", "id", "ids", "type", "kind", "mode", "ttl", "expiry", "expires"),
        *(
            "expiration",
            "limit",
            "limits",
            "count",
            "max",
            "min",
            "length",
            "size",
            "budget",
        ),
        *(
            "header",
            "prefix",
            "var",
            "vars",
            "variable",
            "env",
            "provider",
            "method",
            "alg",
        ),
        *("scheme", "enabled", "required", "scope", "scopes", "algorithm", "issuer", "cmd"),
        *(
            "audience",
            "command",
            "helper",
            "store",
            "version",
            "location",
            "region",
            "port",
        ),
        *("timeout", "usage", "window", "per", "rotation", "format", "field", "policy"),
    }
)
_HASHES = frozenset(
    {
        "commit",
        "sha",
        "sha256",
        "hash",
        "digest",
        "rev",
        "revision",
        "checksum",
        "integrity",
    }
)
_PATH = re.compile(r"(?:~|\.{0,2})/[\w.@ -]+(?:/[\w.@ -]*)*|[A-Za-z]:[\\/].*")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z0-9+/_=.~-]+")
_SCHEME = re.compile(r"(?:bearer|basic|token|apikey|bot|key)[ :]+", re.IGNORECASE)

_SHORTEST = 4
_SHORTEST_RANDOM = 20
_LONGEST_LOOKED_AT = 16_384
_BITS = 3.5
"""Of entropy in each character, from which on a long word looks random."""


def secret_in(name: str, value: str) -> str | None:
    """Say what kind of secret a value is, in words; None when it is none.

    `name` is that of the variable, header or option. For any strings.
    """
    rest = without_references(value[:_LONGEST_LOOKED_AT]).strip().strip("\"'")
    rest = _SCHEME.sub("", rest, count=1).strip()
    if not rest or _REFERENCE_WHOLE.fullmatch(rest):
        return None
    for kind, pattern in _KINDS:
        match = pattern.search(rest)
        if match and not _is_template(match.group()):
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


def looks_random(text: str) -> bool:
    """Tell whether a word is one that nobody would write by hand."""
    if len(text) < _SHORTEST_RANDOM or not _TOKEN.fullmatch(text):
        return False
    if re.fullmatch(r"[0-9a-fA-F]{32,}", text):
        return True
    has = (re.search(pattern, text) for pattern in (r"[a-z]", r"[A-Z]", r"[0-9]"))
    return all(has) and _entropy(text) >= _BITS and len(re.findall(r"[/._-]", text)) <= 4


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name[:200])]


def _is_template(text: str) -> bool:
    """Tell whether a known prefix is followed by what stands for a secret."""
    body = re.sub(r"^[A-Za-z0-9]{2,6}[-_.]", "", text)
    return (
        len(set(body.lower())) <= 3
        or re.search(r"x{6,}|\*{3,}|your", body, re.IGNORECASE) is not None
    )


def _may_be_secret(text: str) -> bool:
    return len(text) >= _SHORTEST and not _PATH.fullmatch(text)


def _is_key_like(text: str) -> bool:
    has_both = re.search(r"[0-9]", text) and re.search(r"[A-Za-z]", text)
    return (
        len(text) >= 12 and bool(has_both) and " " not in text and not _PATH.fullmatch(text)
    )


def _is_random(name: str, text: str) -> bool:
    if (
        _PATH.fullmatch(text)
        or _UUID.fullmatch(text)
        or not _HASHES.isdisjoint(_words(name))
    ):
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
