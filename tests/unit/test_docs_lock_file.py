"""The page on the lock file has every field of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bascule.lock import model

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "lock-file.md").read_text()
ITEMS = [
    it
    for it in model.Item.__subclasses__()
    if it is not model.LockFile and it.__module__ == model.__name__
]
"""Whatever else was imported: other files have pages of their own."""


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.__name__)
def test_the_page_has_every_field(item: type[model.Item]) -> None:
    names = [field.encode_name for field in msgspec.structs.fields(item)]
    assert [name for name in names if f"`{name}`" not in PAGE] == []


def test_the_page_has_the_number_of_the_format() -> None:
    assert f"`lock_format` is `{model.FORMAT}`" in PAGE
