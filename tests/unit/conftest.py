"""What several unit tests share."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule.storage.store import open_store
from postgres import OpenStore
from scim import Rig


@pytest.fixture
def rig(migrated_file: Path, tmp_path: Path) -> Iterator[Rig]:
    """Give a SCIM service with an empty SQLite database."""
    path = shutil.copy(migrated_file, tmp_path / "state.db")
    with contextlib.closing(open_store(path)) as store:
        yield Rig(store)


@pytest.fixture
def any_rig(open_state: OpenStore) -> Iterator[Rig]:
    """Give a SCIM service with an empty database of either engine."""
    with contextlib.closing(open_state()) as store:
        yield Rig(store)
