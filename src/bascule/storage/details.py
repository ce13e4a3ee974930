"""Authorization details as a column keeps them."""

from __future__ import annotations

import msgspec

from bascule.identity.authorization_details import Details

_decoder = msgspec.json.Decoder(Details)


def written(details: Details | None) -> str | None:
    """Write them; nothing for none."""
    return None if details is None else msgspec.json.encode(details).decode()


def read(text: str | None) -> Details | None:
    """Read them again."""
    return None if text is None else _decoder.decode(text)
