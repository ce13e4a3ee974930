"""What holds for every configuration."""

from __future__ import annotations

import contextlib

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from bascule.cli.add import with_connector
from bascule.config.addresses import host_and_port, is_loopback, web_address
from bascule.config.load import ConfigError, load
from bascule.config.model import Config
from bascule.config.shape import shape_problems

KEYS = st.sampled_from(
    [
        *Config.__struct_fields__,
        *("time", "url", "command", "env", "credential", "boundary", "members", "allow"),
        *("issuer", "audiences", "tls", "cert", "key", "listen", "depth", "kind", "value"),
    ]
) | st.text(max_size=4)
VALUES = st.recursive(
    st.text(max_size=8) | st.integers() | st.booleans() | st.floats() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.text())
@example("a = " + "[" * 5000)
def test_any_text_loads_or_is_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(load(text, source="bascule.toml"), Config)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_what_msgspec_refuses_has_its_places_told_and_only_that(
    document: dict[str, object],
) -> None:
    found = list(shape_problems(document, Config))
    try:
        msgspec.convert(document, Config)
    except msgspec.ValidationError:
        assert found
    else:
        assert not found


WORDS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
BEFORE = """\
# first
[connectors.a]   # kept
url    =   "https://a.example/"

[roles.r]
allow = [
  "a/*",  # kept too
]
# last"""


@given(
    command=st.lists(WORDS, min_size=1, max_size=4).filter(lambda words: words[0]),
    owner=WORDS,
    line_end=st.sampled_from(["", "\n", "\r\n", "\n\n\n"]),
)
def test_what_add_writes_is_what_was_given_behind_what_was_there(
    command: list[str], owner: str, line_end: str
) -> None:
    before = BEFORE + line_end
    settings = {"command": command, "owner": owner}
    after = with_connector(before, source="bascule.toml", name="new", settings=settings)
    assert after.startswith(before)
    config = load(after, source="bascule.toml")
    assert config.connectors["new"].command == tuple(command)
    assert config.connectors["new"].owner == owner
    assert config.connectors["a"] == load(before, source="x").connectors["a"]


@given(st.text(st.sampled_from("[]:.019af%@/\\ \tl"), max_size=12))
@example("http://localhost@evil.example/")
@example("http://localhost\t.evil.example/")
def test_a_web_address_has_a_host_of_plain_characters(text: str) -> None:
    for candidate in (text, f"http://{text}", f"https://{text}/mcp"):
        parts = web_address(candidate)
        assert parts is None or set(parts.hostname or " ").isdisjoint(" \t@/\\%[]")


@given(st.text(max_size=30))
@example("0:0")
@example("[::1]:0")
def test_host_and_port_can_be_written_back(text: str) -> None:
    found = host_and_port(text)
    if found is not None:
        host, port = found
        written = f"[{host}]" if ":" in host else host
        assert text.rpartition(":")[0] == written
        assert int(text.rpartition(":")[2]) == port


@given(st.ip_addresses())
def test_loopback_is_told_from_the_address_alone(address: object) -> None:
    text = str(address)
    assert is_loopback(text) == (text.startswith("127.") or text == "::1")
