"""Every command that the root lists can be used and says what it does."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from bascule.cli.main import COMMANDS, main

WITHOUT_JSON = {
    ("up",),
    ("run",),
    ("scan", "vantage"),
    ("config", "schema"),
    ("schema",),
    ("audit", "prove"),
    ("sbom",),
}
"""Commands that serve, or that print a document of a format of its own."""


def commands(
    group: click.Group = main, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Give the words of each command, groups included."""
    context = click.Context(group)
    for name in group.list_commands(context):
        words = (*path, name)
        yield words
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from commands(found, words)


def find(words: tuple[str, ...]) -> click.Command:
    found: click.Command = main
    for word in words:
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), word)
        assert inner is not None
        found = inner
    return found


ALL = list(commands())


def test_the_root_lists_every_command_with_a_sentence() -> None:
    shown = CliRunner().invoke(main, ["--help"], catch_exceptions=False).stdout
    lines = [line.split() for line in shown.partition("Commands:")[2].splitlines()]
    assert [words[0] for words in lines if len(words) > 1] == list(COMMANDS)


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_a_command_says_what_it_does(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*words, "--help"], catch_exceptions=False)
    assert result.exit_code == 0
    assert (find(words).help or "").partition("\n")[0].endswith((".", ":"))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_a_command_that_prints_data_has_json(words: tuple[str, ...]) -> None:
    command = find(words)
    options = {option for it in command.params for option in it.opts}
    assert isinstance(command, click.Group) or words in WITHOUT_JSON or "--json" in options


@pytest.mark.parametrize("word", ["serve", "", "UP", "__init__"])
def test_an_unknown_command_is_wrong_usage(word: str) -> None:
    assert CliRunner().invoke(main, [word]).exit_code == 2
