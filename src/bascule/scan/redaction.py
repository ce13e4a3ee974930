"""Commands and URLs without the secrets in them: what a report may show.

More is left out than is called a secret: a value that follows `--token` is never shown.
What is a reference stays, so that one sees what is referred to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from urllib.parse import unquote, urlsplit, urlunsplit

from bascule.scan.known_secrets import KNOWN_SECRET
from bascule.scan.plain_secrets import looks_random, secret_in, without_references
from bascule.scan.secret_names import names_secret, names_weakly

LEFT_OUT = "[redacted]"

_LONG_NAME = 20
"""Characters of the name of a parameter, from which on it may hold something else."""
_LONGEST = 8_192
"""Characters of a word that are shown."""
_MOST_WORDS = 256

_TAKES_SECRET = frozenset(
    {"-e", "--env", "-H", "--header", "--headers", "--build-arg", "--set"}
)
"""Options whose value has a name of its own, and is often a secret."""
_SHORT = re.compile(
    r"(?P<name>-[pk](?!(?:ort|ath|arams?|rofile|roject|roto|roxy|refix|lugin|ython|ass"
    r"|ackage|ersist|ublic|ublish|ool|ing|ersona|rint|retty|ube|ey|eep|ind)\b)|/[pPkK]:)"
    r"(?P<value>.*)",
    re.DOTALL,
)
"""Options that are a password or a key for many programs; not long ones with one dash."""
_NAME_PACKAGES = frozenset({"npx", "npm", "pnpm", "pnpx", "bunx", "uv", "uvx"})
"""For these `-p` is a package, or a version of Python."""
_NO_PASSWORD = re.compile(
    r"(?:[0-9.]+:|\[[0-9a-fA-F:]+\]:)?[0-9-]+(?::[0-9-]+)?(?:/tcp|/udp)?|[/~.][/.].*|/.*|"
)
"""Ports as they are published, and paths."""
_ASSIGNED = re.compile(
    r"(?P<name>-{0,2}[A-Za-z_][\w.-]*)(?P<sign>\s*[=:]\s*)(?P<value>.+)", re.DOTALL
)
_URL = re.compile(
    r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*+://[^\s\"'<>`|\\^{}]+(?:\$\{[^{}]*\}[^\s\"'<>`]*)*"
)
_NAMED = (
    re.compile(r"(?<![\w-])(?P<name>-{0,2}[A-Za-z_][\w.-]*+)\\?[\"']?\s*+[=:]\s*+"),
    re.compile(r"(?<![\w-])(?P<name>--?[A-Za-z][\w-]*+)\s++(?!-)"),
)
"""With a colon or a sign; an option by a space. They never go back over what they read."""
_VALUE = re.compile(
    r"(?:(?:bearer|basic|token)\s+)?"
    r"(?:\\?\"[^\"]{0,400}\"|'[^']{0,400}'|[^\s,;&}\"'\\]+)",
    re.IGNORECASE,
)
_USER = re.compile(r"((?:^|\s)(?:-u|--user)[ =]+[^\s:]+:)(?!\d+(?:\s|$))\S+")
_RANDOM = re.compile(r"sha256:[0-9a-f]{64}(?![0-9A-Za-z])|[A-Za-z0-9+/_=.~-]{20,}")
_PLAIN_QUERY = re.compile(r"[a-z0-9_.,-]{1,12}|[A-Za-z]{1,8}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_USER_AND_PASSWORD = re.compile(r"(?<![^\s/])[^\s/@]+:[^\s/@]+@")
_CREDENTIALS = re.compile(r"(//)[^/?#@\s]*@")


def redacted_command(words: Sequence[str]) -> tuple[str, ...]:
    """Give a command's words with the secrets left out."""
    shown: list[str] = []
    before = ""
    for word in _without_short(words[:_MOST_WORDS]):
        shown.append(_word(before, word))
        before = word
    return tuple(shown)


def redacted_url(url: str) -> str:
    """Give a URL without user, password, and what in its query or path may be a secret."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        credentials = parts.netloc.rpartition("@")[0]
    except ValueError:
        return LEFT_OUT
    if not parts.netloc:  # it is none, and may still hold what one does
        return _words_redacted(_USER_AND_PASSWORD.sub(f"{LEFT_OUT}@", url))
    if credentials:
        is_reference = not without_references(credentials).strip(":")
        host = f"{credentials if is_reference else LEFT_OUT}@{host}"
    path = "/".join(map(_segment, parts.path.split("/")))
    query = "&".join(map(_parameter, parts.query.split("&"))) if parts.query else ""
    fragment = LEFT_OUT if parts.fragment else ""
    return urlunsplit((parts.scheme, host, path, query, fragment))


def named_values(text: str) -> Iterator[tuple[str, str]]:
    """Give what within a text has the name of a secret: `TOKEN=x`, `--token x`."""
    for name, start, end in _secrets_named(text[:_LONGEST]):
        yield name, text[start:end].strip("\\\"'")


@lru_cache(maxsize=1024)
def redacted(text: str) -> str:
    """Give any text with what is or may be a secret left out."""
    text = text[:_LONGEST]
    return _words_redacted(_URL.sub(lambda match: redacted_url(match.group()), text))


def _words_redacted(text: str) -> str:
    text = KNOWN_SECRET.sub(LEFT_OUT, text)
    text = _CREDENTIALS.sub(rf"\1{LEFT_OUT}@", text)
    text = _USER.sub(rf"\1{LEFT_OUT}", text)
    text = _without(text)
    return _RANDOM.sub(_unless_random, text)


def _word(before: str, word: str) -> str:
    if before in _TAKES_SECRET or (before.startswith("-") and "=" not in before):
        if before in _TAKES_SECRET:
            return _assigned(word, always=True)
        if before in ("-u", "--user"):
            return redacted(f"-u {word}").removeprefix("-u ")
        if _names(before) and not word.startswith("--") and not _is_reference(word):
            return LEFT_OUT
    if word.startswith(("-e", "-H")) and _ASSIGNED.fullmatch(word[2:]):
        return f"{word[:2]}{_assigned(word[2:], always=True)}"
    for option in ("--env=", "--header=", "--headers=", "--build-arg=", "--set="):
        if word.startswith(option):
            return f"{option}{_assigned(word.removeprefix(option), always=True)}"
    return _assigned(word, always=False)


def _program(word: str) -> str:
    return re.split(r"[/\\\\]", word)[-1].lower().removesuffix(".exe").removesuffix(".cmd")


def _without_short(words: Sequence[str]) -> list[str]:
    """Leave out the values of short options, also in a line that a shell is to run."""
    if not _NAME_PACKAGES.isdisjoint(map(_program, words[:3])):
        return [*words]
    shown = []
    for before, word in zip(("", *words), words, strict=False):
        short = _after_short(before, word)
        if short is None and (spaces := re.findall(r"\s+", word)):
            parts = _without_short(re.split(r"\s+", word))
            short = "".join(map("".join, zip(parts, (*spaces, ""), strict=True)))
        shown.append(word if short is None else short)
    return shown


def _after_short(before: str, word: str) -> str | None:
    """Leave out the value of `-p VALUE`, `-pVALUE` or `/p:VALUE`; None for all else."""
    if before in ("-p", "-k") and not word.startswith("-"):
        name, value = "", word
    elif (match := _SHORT.fullmatch(word)) is not None:
        name, value = match["name"], match["value"]
    else:
        return None
    is_shown = _NO_PASSWORD.fullmatch(value) or _is_reference(value) or "://" in value
    return None if is_shown else f"{name}{LEFT_OUT}"


def _assigned(word: str, *, always: bool) -> str:
    """Leave out the value of `NAME=VALUE`, `--name=VALUE` and `Name: value`."""
    if "://" in word.partition("=")[0]:
        return redacted(word)
    match = _ASSIGNED.fullmatch(word)
    if match is None:
        return redacted(word)
    name, sign, value = match["name"], match["sign"], match["value"]
    if _is_reference(value):
        return word[:_LONGEST]
    if always or _names(name) or secret_in(name, value) in _CERTAIN:
        return f"{name}{sign}{LEFT_OUT}"
    return f"{name}{sign}{redacted(value)}"


_CERTAIN = frozenset({"a secret, by its name", "a random text"})


def _names(name: str) -> bool:
    return names_secret(name) or names_weakly(name)


def _is_reference(value: str) -> bool:
    return not without_references(value).strip(" \"'")


def _secrets_named(text: str) -> Iterator[tuple[str, int, int]]:
    """Give each name of a secret, and where its value begins and ends."""
    for pattern in _NAMED:
        for match in pattern.finditer(text):
            value = _VALUE.match(text, match.end()) if _names(match["name"]) else None
            if value is not None and not _is_reference(value.group()):
                yield match["name"], value.start(), value.end()


def _without(text: str) -> str:
    """Leave out the values of names of secrets; one may be within another."""
    kept, at = [], 0
    for start, end in sorted((start, end) for _, start, end in _secrets_named(text)):
        if start >= at:
            kept += [text[at:start], LEFT_OUT]
        at = max(at, end)
    return "".join([*kept, text[at:]])


def _unless_random(match: re.Match[str]) -> str:
    """Leave out what looks random, but for the digest of an image.

    Of a path each name is looked at: capitals and numbers alone do not make one random.
    """
    text = match.group()
    is_path = text.rpartition("=")[2].startswith(("/", "~/", "./", "../"))
    parts = text.split("/") if is_path else [text]
    return LEFT_OUT if any(map(looks_random, parts)) else text


def _segment(part: str) -> str:
    part, semicolon, parameters = part.partition(";")
    if semicolon:
        shown = ";".join(map(_parameter, parameters.split(";")))
        return f"{_segment(part)};{shown}"
    plain = unquote(part)
    is_secret = KNOWN_SECRET.search(plain) or looks_random(plain) or _UUID.fullmatch(plain)
    return LEFT_OUT if is_secret else part


def _parameter(pair: str) -> str:
    name, equals, value = pair.partition("=")
    # Not as a URL that may be in it: they could be in one another without end.
    shown = _words_redacted(unquote(name)) if len(name) >= _LONG_NAME else name
    if not equals:
        return shown
    if _is_reference(value):
        return f"{shown}={value}"
    is_plain = _PLAIN_QUERY.fullmatch(value) and not _names(name[-_LONG_NAME:])
    return f"{shown}={value if is_plain else LEFT_OUT}"
