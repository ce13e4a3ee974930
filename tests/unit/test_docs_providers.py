"""The pages on identity providers: what they say to write is a valid configuration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bascule.config.load import load
from bascule.identity.provider_profiles import PROFILES

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
PAGES = sorted(HOW_TO.glob("login-with-*.md"))
TABLES = re.compile(r"^```toml\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    "path", [*PAGES, HOW_TO / "provision-users.md"], ids=lambda it: it.stem
)
def test_every_configuration_on_a_page_is_valid(path: Path) -> None:
    tables = TABLES.findall(path.read_text())
    assert tables
    for text in tables:
        config = load(text, source=path.name)
        for name, provider in config.providers.items():
            assert f"doctor idp {name}" in path.read_text()
            for role in config.roles.values():
                assert all(f":{provider.iss}|" in str(it) for it in role.members)


def test_there_is_a_page_for_each_kind() -> None:
    pages = {path.stem.removeprefix("login-with-") for path in PAGES}
    assert pages == (set(PROFILES) - {"oidc"}) | {"another-provider"}
