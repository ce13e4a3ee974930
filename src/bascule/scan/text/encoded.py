"""Texts that are written so that only a program, or a model, reads them."""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
from collections.abc import Iterator
from urllib.parse import unquote

_BASE64 = re.compile(
    r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{16,20000}={0,2}(?![A-Za-z0-9+/_=-])"
)
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{2}[ :]?){10,8000}(?![0-9A-Za-z])")
_ESCAPES = re.compile(r"(?:\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})[ ,.~/:;@-]{0,3}){6,4000}")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2}|[A-Za-z0-9_.~+-]){6,8000}")
_CODES = re.compile(r"(?<![\d.])(?:\d{2,3}[ ,;]{1,2}){10,4000}\d{2,3}(?![\d.])")
_ENTITIES = re.compile(r"(?:&#x?[0-9a-fA-F]{1,6};){5,4000}")
_TELLING = (
    "ignore previous instructions instruction password secret credentials conversation"
    " system before without never always user message messages token contents content"
    " forward silently mention calling other tools function read send file files include"
    " must"
)
_TURNED_WORDS = _TELLING.split()
_ROT_WORDS = frozenset(codecs.encode(it, "rot13") for it in _TURNED_WORDS if len(it) > 3)
_BACK_WORDS = frozenset(it[::-1] for it in _TURNED_WORDS if len(it) > 4)
_ROT = re.compile(r"\b(?:" + "|".join(sorted(_ROT_WORDS)) + r")\b", re.IGNORECASE)
_BACK = re.compile(r"\b(?:" + "|".join(sorted(_BACK_WORDS)) + r")\b", re.IGNORECASE)
_SOME = 2
_PRINTABLE = 0.9
_SHORTEST = 10


def decoded(text: str) -> Iterator[tuple[str, int, int]]:
    """Give what parts of a text decode to, where that is text too, and where they are."""
    for match in _BASE64.finditer(text):
        yield from _text(_from_base64(match.group()), match)
    for match in _HEX.finditer(text):
        yield from _text(
            bytes.fromhex(re.sub("[ :]", "", match.group())[: _even(match)]), match
        )
    if "\\" in text:
        for match in _ESCAPES.finditer(text):
            yield from _text(_unescaped(match.group()), match)
    if text.count("%") >= 3:
        for match in _PERCENT.finditer(text):
            if match.group().count("%") >= 3:
                yield unquote(match.group().replace("+", " ")), *match.span()
    for match in _CODES.finditer(text):
        codes = [int(it) for it in re.findall(r"\d+", match.group())]
        if all(it < 256 for it in codes):
            yield from _text(bytes(codes), match)
    if "&#" in text:
        for match in _ENTITIES.finditer(text):
            yield html.unescape(match.group()), *match.span()
    written = frozenset(text.lower().split())
    for words, turned, turn in (
        (_ROT_WORDS, _ROT, _rot13),
        (_BACK_WORDS, _BACK, _reversed),
    ):
        if len(words & written) < _SOME:
            continue
        found = [match.span() for match in turned.finditer(text)]
        if len(found) >= _SOME:
            start, end = found[0][0], found[-1][1]
            yield turn(text[start:end]), start, end


def _even(match: re.Match[str]) -> int:
    digits = sum(char not in " :" for char in match.group())
    return digits - digits % 2


def _text(raw: bytes | None, match: re.Match[str]) -> Iterator[tuple[str, int, int]]:
    if raw is None or len(raw) < _SHORTEST:
        return
    try:
        plain = raw.decode("utf-8")
    except UnicodeDecodeError:
        return
    if sum(char.isprintable() or char in "\n\t" for char in plain) >= _PRINTABLE * len(
        plain
    ):
        yield plain, *match.span()


def _from_base64(coded: str) -> bytes | None:
    plain = coded.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (ValueError, binascii.Error):
        return None


def _unescaped(coded: str) -> bytes:
    plain = re.sub(r"\\[xu]([0-9a-fA-F]{2,4})", lambda it: chr(int(it[1], 16)), coded)
    return plain.encode("utf-8", "replace")


def _rot13(text: str) -> str:
    return codecs.encode(text, "rot13")


def _reversed(text: str) -> str:
    return text[::-1]
