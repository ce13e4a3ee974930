"""One spelling for each path, URL, host and name, so that a policy sees what a server sees.

What has one meaning is rewritten to its canonical form; what two readers could take for two
things is refused. The canonical form is also what is sent, so nothing rests on a server
reading alike.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from urllib.parse import quote

from bascule.errors import BasculeError

# Fraction, division and big solidus, box-drawing slash, reverse solidus operators,
# ideographic full stop: NFKC leaves them alone, eyes and some decoders do not.
_LOOK_ALIKES = frozenset("\u2044\u2215\u29f8\u2571\u2572\u29f5\u2216\u3002")
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))

_encoded = re.compile(r"%[0-9A-Fa-f]{2}")
_scheme_like = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_url = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://(?P<authority>[^/?#]*))?"
    r"(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>#.*)?"
)
_port = re.compile(r"[1-9][0-9]{0,4}")
_label = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_bad_escape = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Separators, controls and `%` itself: what they stand for depends on who decodes, and how
# often.
_hidden = re.compile(r"%(?:[01][0-9a-f]|2f|5c|7f|25(?=[0-9a-f]{2}))", re.IGNORECASE)
_unreserved = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
)
_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}
_MAX_HOST = 253
_MAX_PORT = 65_535


class AmbiguousError(BasculeError):
    """A text has more than one reading; the message ends a sentence about it."""


def canonical_path(text: str, *, absolute: bool | None = None) -> str:
    """Give a POSIX path without `.`, `..`, doubled and trailing slashes.

    `absolute`: it must be so, or must not; None for either. Raises `AmbiguousError` for
    what could be read as another path: escapes, backslashes, `~`, a scheme, look-alikes.
    """
    text = _plain(text)
    if "\\" in text:
        raise AmbiguousError("has a backslash")
    if _encoded.search(text):
        raise AmbiguousError("has an escape like `%2f`; write the characters themselves")
    if _scheme_like.match(text):
        raise AmbiguousError("begins like a URL or a drive")
    is_absolute = text.startswith("/")
    if absolute is not None and is_absolute != absolute:
        wanted = "absolute: begin it with" if absolute else "relative: begin it without"
        raise AmbiguousError(f"must be {wanted} `/`")
    steps = _without_dots(text.split("/"), is_absolute=is_absolute)
    if not is_absolute and steps[:1] and steps[0].startswith("~"):
        raise AmbiguousError("begins with `~`, which servers take for a home directory")
    # Any space that `strip` of common languages takes away, not only that of ASCII.
    if any(step != step.strip() or step.endswith(".") for step in steps):
        raise AmbiguousError("has a part that ends with `.`, or with a space at one end")
    return ("/" if is_absolute else "") + "/".join(steps) or "."


def _without_dots(steps: list[str], *, is_absolute: bool) -> list[str]:
    kept: list[str] = []
    for step in steps:
        if step in {"", "."}:
            continue
        if step != "..":
            kept.append(step)
        elif kept:
            kept.pop()
        elif not is_absolute:
            raise AmbiguousError("leads out of the directory where it begins")
    return kept


def canonical_url(text: str) -> str:
    """Give an absolute URL in normal form (RFC 3986 §6.2.2, §6.2.3).

    Raises `AmbiguousError` for what parsers are known to read differently: user names,
    backslashes, numbers for hosts, separators that are escaped.
    """
    text = _plain(text)
    if "\\" in text or " " in text:
        raise AmbiguousError("has a backslash or a space")
    found = _url.fullmatch(text)
    if found is None:
        raise AmbiguousError("is no absolute URL like `https://host/path`")
    scheme, authority = found["scheme"].lower(), found["authority"]
    if scheme in _DEFAULT_PORTS and not authority:
        raise AmbiguousError(f"has no host: write `{scheme}://host/path`")
    query, fragment = found["query"] or "", found["fragment"] or ""
    if authority is None and scheme == "file" and found["path"].startswith("/"):
        authority = ""  # `file:/x` is `file:///x` (RFC 8089 §2)
    if authority is None:
        path = found["path"]
        path = _url_path(path) if path.startswith("/") else _escapes(path)
        return f"{scheme}:{path}{_escapes(query + fragment)}"
    host = _authority(scheme, authority)
    path = _url_path(found["path"])
    return f"{scheme}://{host}{path}{_escapes(query + fragment)}"


def _authority(scheme: str, authority: str) -> str:
    if "@" in authority or "%" in authority:
        raise AmbiguousError("has a user name or an escape before its path")
    if authority.count(":") > 1 and not authority.startswith("["):
        raise AmbiguousError("has an IPv6 address without brackets")
    if scheme == "file":
        if authority.lower() not in {"", "localhost"}:
            raise AmbiguousError("names a host, and a file of it")
        return ""
    return canonical_host(authority, default_port=_DEFAULT_PORTS.get(scheme))


def _url_path(path: str) -> str:
    """Normalise a path below an authority: it begins with a slash, or is empty."""
    if _hidden.search(path):
        raise AmbiguousError("has a separator or an escape that is escaped in its path")
    steps = _escapes(path).split("/")[1:]
    ends = "/" if steps and steps[-1] in {"", ".", ".."} else ""
    if "" in steps[:-1]:
        raise AmbiguousError("has a doubled slash in its path")
    kept = _without_dots(steps, is_absolute=True)
    return "/" + "/".join(kept) + (ends if kept else "")


def _escapes(text: str) -> str:
    """Write escapes in capitals, and none where none is needed."""
    if _bad_escape.search(text):
        raise AmbiguousError("has a `%` that begins no escape")

    def normal(escape: re.Match[str]) -> str:
        byte = int(escape[0][1:], 16)
        return chr(byte) if byte in _unreserved else escape[0].upper()

    return quote(_encoded.sub(normal, text), safe="!#$%&'()*+,/:;=?@[]~")


def canonical_host(text: str, *, default_port: str | None = None) -> str:
    """Give a host name or address in small letters, with its port unless the default.

    Raises `AmbiguousError` for numbers that only some read as an address.
    """
    text = _plain(text)
    if not text.isascii():
        raise AmbiguousError("has a host that is not ASCII: write its `xn--` form")
    if text.count(":") > 1 and not text.startswith("["):
        return _ipv6(text)
    if text.startswith("["):
        inside, closed, rest = text[1:].partition("]")
        host = f"[{_ipv6(inside)}]"
        if not closed or (rest and not rest.startswith(":")):
            raise AmbiguousError("has an address in brackets that do not fit")
        return host + _with_port(rest.removeprefix(":"), default_port)
    name, _, port = text.partition(":")
    if text.endswith(":"):
        raise AmbiguousError("has an empty port")
    return _name_or_ipv4(name.lower()) + _with_port(port, default_port)


def _with_port(port: str, default: str | None) -> str:
    if not port or port == default:
        return ""
    if not _port.fullmatch(port) or int(port) > _MAX_PORT:
        raise AmbiguousError("has a port that is no plain number up to 65535")
    return f":{port}"


def _name_or_ipv4(host: str) -> str:
    host = host.removesuffix(".")
    labels = host.split(".")
    if len(host) > _MAX_HOST or not all(_label.fullmatch(label) for label in labels):
        raise AmbiguousError("has no host that is spelt as hosts are")
    if not labels[-1].isdigit() and not re.fullmatch(r"0x[0-9a-f]*", labels[-1]):
        return host
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError as exc:
        raise AmbiguousError("has a number for a host: write `127.0.0.1`") from exc


def _ipv6(text: str) -> str:
    try:
        found = ipaddress.IPv6Address(text)
    except ValueError as exc:
        raise AmbiguousError("has no IPv6 address where one must be") from exc
    if found.scope_id is not None or found.ipv4_mapped is not None:
        raise AmbiguousError("has an IPv6 address with a zone, or for an IPv4 address")
    return found.compressed


def canonical_name(text: str) -> str:
    """Give a name in composed form (NFC).

    Raises `AmbiguousError` for spaces at its ends and for characters that are not seen or
    look like others.
    """
    text = _plain(text)
    if text != text.strip():
        raise AmbiguousError("begins or ends with a space")
    return text


def canonical_caseless(text: str) -> str:
    """Give a name in small letters, as Unicode folds case. Raises `AmbiguousError`."""
    folded = unicodedata.normalize("NFC", canonical_name(text).casefold())
    return canonical_name(folded)


def _plain(text: str) -> str:
    """Compose a text (NFC); refuse what is not seen, and what some take for ASCII."""
    if text.isascii():
        if not text.isprintable():
            raise AmbiguousError("has a control character")
        return text
    text = unicodedata.normalize("NFC", text)
    for character in text:
        if unicodedata.category(character) in _UNSEEN:
            raise AmbiguousError("has a character that is not seen")
        if character in _LOOK_ALIKES or _stands_for_ascii(character):
            raise AmbiguousError("has a character that only looks like another")
    return text


def _stands_for_ascii(character: str) -> bool:
    """Whether a compatible form (NFKC), as some servers make it, holds ASCII."""
    if character.isascii():
        return False
    compatible = unicodedata.normalize("NFKC", character)
    return any(it.isascii() and it != " " for it in compatible)
