"""One upstream and one server for each module of system tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from system.recorder import Recorder, recording
from system.server import Installation, serving


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with recording() as made:
        yield made


@pytest.fixture
def upstream(recorder: Recorder) -> Recorder:
    """Give the upstream, with nothing from other tests in it."""
    recorder.take()
    return recorder


@pytest.fixture(scope="module")
def bascule(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[Installation]:
    with serving(tmp_path_factory.mktemp("bascule"), recorder) as made:
        yield made
