"""A text as sentences of words with their concepts, in one pass."""

# ruff: noqa: RUF001 - punctuation of other writing systems is what is meant

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bascule.scan.text import concepts as c
from bascule.scan.text.folding import Folded
from bascule.scan.text.meaning import MEANINGS, PIECE

_TOKEN = re.compile(
    r"""
      (?P<plain>(?:[A-Z]?[a-z]{1,60}|[A-Z]{1,60})(?=[ ,;)]))
    | (?P<url>(?:https?|ftp|wss?|data|file|javascript)://[^\s<>"'`)\]]{1,2000})
    | (?P<mail>[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6})
    | (?P<ip>\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b)
    | (?P<phone>\+\d[\d ()-]{6,18}\d)
    | (?P<shell>\$\([^()\n]{1,200}\)|\$\{?[A-Z][A-Z0-9_]{3,60}\}?)
    | (?P<account>0x[0-9A-Fa-f]{6,64}\b
        |(?i:\baccounts?(?:[ ]number)?[ ]\#?\d[\d-]{3,30}\b)
        |\b\d{4}(?:[ -]\d{4}){3}\b|\bbc1[a-z0-9]{8,80}
        |\b[A-Z]{2}\d{2}[A-Z0-9]{10,30}\b)
    | (?P<money>[$€£]\s?\d[\d.,]{0,12}|\d[\d.,]{0,12}\s?
        (?:usd|eur|gbp|eth|btc|usdt|dollars|euros|%)(?!\w))
    | (?P<memory>(?i:claude|agents|gemini|memory)\.md|\.cursorrules|\.windsurfrules)
    | (?P<path>(?<![\w)])(?:(?:~|\$HOME|%[A-Za-z]{3,20}%|\.{1,2}|[A-Za-z]:)?
            (?:[/\\][\w.*@+-]{1,100}){1,20}/?
            |\.[a-z][\w-]{1,40}(?:/[\w.-]{1,80}){0,10}
            |[\w-]{1,80}\.(?:json|ya?ml|toml|txt|env|pem|key|db|sqlite|conf|cfg|ini|log|sh)\b))
    | (?P<identifier>[A-Za-z][A-Za-z0-9]{0,60}(?:_{1,2}[A-Za-z0-9]{1,60}){1,12}
        |[a-z]{2,30}(?:[A-Z][a-z0-9]{1,30}){1,8}\b
        |[A-Z][a-z0-9]{1,30}(?:[A-Z][a-z0-9]{1,30}){1,8}\b)
    | (?P<piece>"""
    + PIECE
    + r""")
    | (?P<number>\d[\d.,:]{0,40}\d|\d)
    | (?P<word>(?:long-term|go-ahead|sign-off|pre-approved|pre-authorized)\b
        |(?:api-keys?|chain-of-thought|third-party|blind-copy|re-run|end-user
        |root-level|mot-de-passe|e\.g|i\.e)\b|[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{1,60}
        (?:['’][^\W\d_]{1,10})?)
    | (?P<break>\n[ \t]{0,40}(?:\n|[-*•#>]|\d{1,3}[.)]
        |(?=[\w*`]{1,40}(?:\ \([^()\n]{1,60}\))?:\s))|\\n
        |[.!?…。！？](?=[\s"'”’)\]*]|$|[^\x00-\x7f])|\s[—–]\s)
    | (?P<semicolon>[;；])
    | (?P<comma>,|、|，|\s[-—–]{1,2}\s)
    | (?P<colon>:|：|[)\]>]|\*{1,2}|=)
    | (?P<fence>```)
    | (?P<quote>["'`“”‘’«»])
    """,
    re.VERBOSE,
)

_SECRET_FILE = re.compile(
    r"""\.ssh\b|\bid_(?:rsa|dsa|ed25519|ecdsa)\b|\.env\b|\.aws\b|\.gnupg|\.netrc|\.npmrc"
    r"|\.pypirc
    |\.git-credentials|\.kube\b|\.docker/config|/etc/(?:passwd|shadow|sudoers)|/proc/self/environ
    |credential|secret|token|passw|\.config/(?:gcloud|gh|google)|authorized_keys|known_hosts
    |mcp\.json|mcp_config|claude_desktop_config|\.pem\b|\.key\b|\.p12\b|\.pfx\b|keychain|cookies
    |login\ data|wallet|\.bash_history|\.zsh_history|api[_-]?key|private[_-]?key|\.gitconfig
    |\.htpasswd|\.pgpass|service[_-]?account|169\.254\.169\.254|metadata\.google|/etc/ssh
    |\.(?:bash|zsh)rc|\.profile\b|/etc/hosts|crontab|\.config/slack|\.cursor/|\.vault""",
    re.VERBOSE | re.IGNORECASE,
)

_SECRET_NAME = re.compile(
    r"id_(?:rsa|dsa|ed25519|ecdsa)|[A-Z0-9]+_(?:[A-Z0-9]+_)*(?:KEY|TOKEN|SECRET|PASSWORD"
    r"|PASS)\b"
)
_MALICE = re.compile(r"exfil|attacker|\bevil\b|malicious|hacker|\bc2\b", re.IGNORECASE)

_LITERALS = {
    "url": c.URL,
    "mail": c.MAIL,
    "account": c.ACCOUNT,
    "memory": c.MEMORY,
    "money": c.FEE | c.NUMBER,
    "ip": c.URL,
    "phone": c.MAIL,
    "number": c.NUMBER,
    "comma": c.COMMA,
    "colon": c.COLON,
    "semicolon": c.COMMA | c.COLON,
    "quote": c.QUOTE,
    "fence": c.COLON,
}
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


_KEYS = frozenset("api access private secret signing ssh encryption".split())  # noqa: SIM905
_OFF = frozenset("turn turned turning switch switched switching".split())  # noqa: SIM905
_PAIRS: dict[str, tuple[frozenset[str], int]] = {
    "key": (_KEYS, c.SECRET),
    "keys": (_KEYS, c.SECRET),
    "phrase": (frozenset({"seed", "recovery"}), c.SECRET),
    "card": (frozenset({"credit", "debit"}), c.SECRET),
    "cards": (frozenset({"credit", "debit"}), c.SECRET),
    "variable": (frozenset({"environment", "env"}), c.SECRET),
    "variables": (frozenset({"environment", "env"}), c.SECRET),
    "string": (frozenset({"connection"}), c.SECRET),
    "header": (frozenset({"authorization", "cookie"}), c.SECRET),
    "headers": (frozenset({"authorization", "cookie"}), c.SECRET),
    "off": (_OFF, c.DESTROY | c.BASE),
}
"""Words that mean something else behind others."""
_DIGITS = str.maketrans("013457", "oieast")
_LONGEST = 300
"""Words after which a sentence ends, whatever its author thinks."""


@dataclass(slots=True)
class Sentence:
    """Words in their order; parallel lists, because there are hundreds of thousands."""

    first: bool
    """It opens its text, and so says what the thing is."""
    words: list[str] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    has: int = 0

    def add(self, word: str, marks: int, start: int, end: int) -> None:
        """Append a word."""
        self.words.append(word)
        self.marks.append(marks)
        self.starts.append(start)
        self.ends.append(end)
        self.has |= marks

    def joined(self, before: frozenset[str], marks: int) -> int:
        """Give the concepts that a word has behind another one: "private key"."""
        return marks if self.words and self.words[-1] in before else 0

    def place(self, concept: int) -> int | None:
        """Give the first place that has a concept."""
        return self.within(concept, 0, len(self.marks)) if self.has & concept else None

    def within(self, concept: int, start: int, end: int) -> int | None:
        """Give the first place in a range that has a concept."""
        for at in range(max(start, 0), min(end, len(self.marks))):
            if self.marks[at] & concept:
                return at
        return None


def sentences(folded: Folded, *, opens: bool = True) -> Iterator[Sentence]:
    """Give the sentences of a text; the first says what something is if it `opens`."""
    current = Sentence(first=opens)
    fenced = False
    for match in _TOKEN.finditer(folded.text):
        kind, word = match.lastgroup or "", match.group()
        if kind == "fence":
            fenced = not fenced
        if fenced:
            current.has |= c.EXAMPLE
        if kind == "break" or len(current.words) >= _LONGEST:
            if current.words:
                yield current
                current = Sentence(first=False)
            if kind == "break":
                continue
        start, end = match.span()
        if kind == "plain":  # nine of ten
            word = word.lower()
            marks = MEANINGS.get(word, 0)
            if word in _PAIRS:
                marks |= current.joined(*_PAIRS[word])
        elif kind == "url" and _is_link(folded.text, start):
            marks = c.HELP  # a link to read on
        else:
            marks = marks_of(kind, word)
            word = plain_name(word) if kind == "identifier" else word.lower()
        current.add(word, marks, start, end)
    if current.words:
        yield current


def _is_link(text: str, start: int) -> bool:
    """Tell whether a URL is a link to read on; a picture is fetched when it is shown."""
    return text[max(start - 1, 0)] == "(" and "![" not in text[max(start - 80, 0) : start]


def marks_of(kind: str, word: str) -> int:
    """Give the concepts of one token."""
    if kind in ("word", "piece"):
        plain = word.lower().replace("’", "'")
        known = MEANINGS.get(plain) or MEANINGS.get(plain.removesuffix("'s"), 0)
        if known or "'" not in plain:
            return known
        before, _, after = plain.partition("'")
        return MEANINGS.get(before, 0) | MEANINGS.get(after, 0)
    if kind == "path":
        spelt = word.translate(_DIGITS)
        kept = _SECRET_FILE.search(word) or _SECRET_FILE.search(spelt)
        return c.PATH | (c.SECRET_PATH if kept else 0)
    if kind == "shell":
        secret = c.SECRET_PATH if _SECRET_FILE.search(word) or "env" in word else 0
        return c.SHELL | secret
    if kind == "identifier":
        secret = c.SECRET_PATH if _SECRET_NAME.match(word) else 0
        return (
            c.IDENTIFIER | secret | (meaning_of_name(word) & (c.SECRET | c.TALK | c.PARAM))
        )
    literal = _LITERALS[kind]
    if literal & c.URL and _SECRET_FILE.search(word):
        literal |= c.SECRET_PATH if "169.254" in word or "metadata.google" in word else 0
    if literal & (c.URL | c.MAIL) and _MALICE.search(word):
        literal |= c.MALICE
    return literal


def plain_name(name: str) -> str:
    """Give `send_mail` for `sendMail`, `SendMail` and `send-mail`."""
    return _HUMPS.sub("_", name).replace("-", "_").lower()


def meaning_of_name(name: str) -> int:
    """Give the concepts of the words that a name is made of."""
    found = 0
    for part in _PARTS.findall(name):
        found |= MEANINGS.get(part.lower(), 0)
    return found
