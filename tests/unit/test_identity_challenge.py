"""What a refused client is told, and that nothing can be slipped into it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bascule.identity import challenge
from bascule.identity.resource import metadata_address, resource_identifier

URL = "https://bridge.example"
METADATA = 'resource_metadata="https://bridge.example/.well-known/oauth-protected-resource'


def test_without_a_token_no_error_is_named() -> None:
    """RFC 6750 §3.1."""
    assert challenge.missing_token(URL, "tickets") == (
        f'Bearer {METADATA}/c/tickets/mcp", scope="mcp:tickets"'
    )


def test_a_token_that_is_not_valid_is_called_that() -> None:
    assert challenge.invalid_token(URL, "tickets") == (
        f'Bearer error="invalid_token", {METADATA}/c/tickets/mcp", scope="mcp:tickets"'
    )


def test_all_scopes_that_are_needed_are_named_at_once() -> None:
    assert challenge.insufficient_scope(URL, "tickets", {"tickets.write", "extra"}) == (
        f'Bearer error="insufficient_scope", {METADATA}/c/tickets/mcp", '
        'scope="extra tickets.write"'
    )


def test_what_else_is_missing_is_said_in_words() -> None:
    value = challenge.insufficient_scope(URL, "tickets", {"x"}, 'not "this" call')
    description = 'error_description="not \\"this\\" call"'
    assert value == (
        f'Bearer error="insufficient_scope", {description}, {METADATA}/c/tickets/mcp", '
        'scope="x"'
    )


@given(st.sets(st.text(max_size=20), max_size=3))
def test_no_scope_leaves_its_quotes(scopes: set[str]) -> None:
    value = challenge.insufficient_scope(URL, "tickets", scopes)
    assert all(" " <= char <= "~" for char in value)
    inside = value.partition('scope="')[2]
    assert inside[-1] == '"'
    assert '"' not in inside[:-1].replace("\\\\", "").replace('\\"', "")


def test_the_metadata_lies_where_rfc_9728_puts_it() -> None:
    resource = resource_identifier(URL, "tickets")
    assert resource == f"{URL}/c/tickets/mcp"
    path = resource.removeprefix(URL)
    assert metadata_address(URL, "tickets") == (
        f"{URL}/.well-known/oauth-protected-resource{path}"
    )
