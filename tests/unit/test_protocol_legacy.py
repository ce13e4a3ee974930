"""The revisions before 2026-07-28: what they say, and ids that hold what maps them back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.protocol import legacy
from bascule.protocol.message import Request
from bascule.protocol.modern import ProtocolError

TAG = "00ff"
ids = st.one_of(st.integers(-(2**63), 2**64 - 1), st.text())
methods = st.one_of(st.sampled_from(sorted(legacy.LISTS)), st.just("tools/call"))


@given(methods, ids)
def test_an_id_holds_what_maps_it_back(method: str, client_id: int | str) -> None:
    written = legacy.upstream_id(TAG, method, client_id)
    found = legacy.client_id_of(TAG, written)
    assert found == (method if method in legacy.LISTS else "", client_id)
    assert found is not None
    assert type(found[1]) is type(client_id)


@given(methods, methods, ids, ids)
def test_no_client_can_write_the_id_of_another_request(
    method: str, other: str, client_id: int | str, other_id: int | str
) -> None:
    """Lists keep their method, whatever id a client chooses."""
    same = legacy.upstream_id(TAG, method, client_id) == legacy.upstream_id(
        TAG, other, other_id
    )
    assert same == (
        (method, type(client_id), client_id) == (other, type(other_id), other_id)
    )


@given(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text())))
def test_what_was_not_written_here_maps_to_nothing(written: object) -> None:
    assert legacy.client_id_of(TAG, written) is None


@given(st.text())
def test_only_ids_follow_a_tag(rest: str) -> None:
    found = legacy.client_id_of(TAG, f"{TAG}.{rest}")
    assert found is None or isinstance(found[1], int | str)


def test_an_id_of_another_session_maps_to_nothing() -> None:
    assert legacy.client_id_of(TAG, legacy.upstream_id("00fe", "tools/call", 1)) is None


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [(it, it) for it in legacy.SUPPORTED] + [("2024-11-05", "2025-11-25")],
)
def test_what_is_not_spoken_becomes_the_latest(asked: str, agreed: str) -> None:
    params = {"protocolVersion": asked, "capabilities": {}}
    assert legacy.check_initialize(Request(1, "initialize", params)) == agreed


@pytest.mark.parametrize("header", [b"2026-07-28", b"2024-11-05", b"", b"\xff"])
def test_other_versions_are_refused(header: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        legacy.check_version(header)
    assert caught.value.status == 400


def test_a_version_need_not_be_said() -> None:
    legacy.check_version(None)


@pytest.mark.parametrize("method", legacy.NAME_PARAMETER)
@pytest.mark.parametrize("value", [None, 1, [], {}], ids=repr)
def test_a_request_names_what_it_is_about(method: str, value: object) -> None:
    params = {} if value is None else {legacy.NAME_PARAMETER[method]: value}
    with pytest.raises(ProtocolError):
        legacy.check(Request(1, method, params))


def test_capabilities_are_cut_to_what_may_be_asked() -> None:
    declared = {"roots": {}, "sampling": {}, "elicitation": {}, "tasks": {}, "x": {"y": 1}}
    assert legacy.declared_asks(declared) == ("elicitation", "sampling", "roots")
    assert legacy.carried_capabilities(declared, ()) == {"x": {"y": 1}}
    assert legacy.carried_capabilities(declared, ("roots",)) == {
        "roots": {},
        "x": {"y": 1},
    }
