"""What others wrote, as text for people: on one line, nothing in it that is not seen."""

from __future__ import annotations

from bascule.lock.invisible import is_unseen, visible


def plain(text: str) -> str:
    r"""Write characters that have no shape of their own as escapes (`\u202e`, `\n`).

    Unlike `visible` it doubles no backslash, so that paths stay paths and what a rule has
    quoted already stays as it is.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(visible(char) if is_unseen(char) else char for char in text)
