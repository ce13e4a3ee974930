"""What others wrote, as text for people: on one line, nothing in it that is not seen."""

from __future__ import annotations

import re

from bascule.lock.invisible import is_unseen, visible

_COMMAND_OF_A_LINE = re.compile(r"^(\s*):(?=:[A-Za-z].*::)", re.MULTILINE)
_COMMAND_ANYWHERE = re.compile(r"#(?=#\w*\[)")


def plain(text: str) -> str:
    r"""Write characters that have no shape of their own as escapes (`\u202e`, `\n`).

    Unlike `visible` it doubles no backslash, so that paths stay paths and what a rule has
    quoted already stays as it is.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(visible(char) if is_unseen(char) else char for char in text)


def inert(text: str) -> str:
    r"""Write lines so that no runner of a pipeline takes a part of them for a command.

    GitHub obeys lines that begin with `::name::`, and `##[name]` wherever it stands; Azure
    `##vso[…]`, TeamCity `##teamcity[…]`. One character of each becomes an escape
    (`\u0023`), which in JSON is the same character.
    """
    return _COMMAND_OF_A_LINE.sub(r"\1\\u003a", _COMMAND_ANYWHERE.sub(r"\\u0023", text))
