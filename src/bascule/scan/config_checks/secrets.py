"""Secrets in a server's entry: said where, and of which kind, never what."""

from __future__ import annotations

from collections.abc import Iterator

from bascule.scan.config_checks import Subject
from bascule.scan.entry_words import clean
from bascule.scan.finding import Finding
from bascule.scan.plain_secrets import secret_in
from bascule.scan.redaction import named_values, redacted
from bascule.scan.rules.configs import PLAIN_SECRET
from bascule.scan.secret_names import names_secret

_DEEPEST = 8
_MOST = 50
"""Findings of one server."""
_GUESSED = frozenset({"a random text", "a random text in a URL"})
"""Said with less weight: it may be something else."""
_NO_SECRETS = frozenset(
    {"autoApprove", "alwaysAllow", "disabledTools", "tools", "description"}
)


def plain_secrets(subject: Subject) -> Iterator[Finding]:
    """Find secrets in every text of the entry, whatever its name."""
    seen: set[str] = set()
    texts = _texts(subject.server.raw, subject.server.shown_where, "", 0)
    for where, name, value in texts:
        kind = secret_in(name, value) or _within(value)
        if kind is None or where in seen or len(seen) >= _MOST:
            continue
        seen.add(where)
        readable = subject.document.others_read
        yield subject.finding(
            PLAIN_SECRET,
            f"`{where}` holds {kind}"
            + ("; every user of this machine may read the file" if readable else ""),
            key=where,
            severity="medium" if kind in _GUESSED else None,
        )


def _within(text: str) -> str | None:
    """Look for a secret in what a text says: a command for a shell, options, JSON."""
    pairs = named_values(text)
    return next(filter(None, (secret_in(name, value) for name, value in pairs)), None)


def _texts(
    value: object, where: str, name: str, depth: int
) -> Iterator[tuple[str, str, str]]:
    """Give place, name and text of all texts; words of a command with the option's name."""
    if depth > _DEEPEST:
        return
    if isinstance(value, str):
        yield where, name, value
    elif isinstance(value, dict):
        for key, each in value.items():
            shown = redacted(clean(str(key)))[:80]
            if key not in _NO_SECRETS:
                yield from _texts(each, f"{where}.{shown}", str(key), depth + 1)
    elif isinstance(value, list):
        yield from _words(value, where, depth)


def _words(value: list[object], where: str, depth: int) -> Iterator[tuple[str, str, str]]:
    before = ""
    for place, each in enumerate(value):
        spot = f"{where}[{place}]"
        if not isinstance(each, str):
            yield from _texts(each, spot, "", depth + 1)
            before = ""
            continue
        name, sign, rest = each.partition("=")
        colon, header_sign, header = each.partition(":")
        if sign and " " not in name and "://" not in name:
            yield spot, name, rest
        elif header_sign and names_secret(colon) and not header.startswith("//"):
            yield spot, colon, header
        else:
            yield spot, before if before.startswith("-") else "", each
        before = each
