"""The recipes of docs/recipes, run as their pages say: a real proxy, real processes, and servers of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e import authorities
from tests.e2e.lab import Lab

from sessiontap.demo.certs import Authority

authority, confdir = authorities.authority, authorities.confdir


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("e2e")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, authority: Authority, confdir: Path) -> Iterator[Lab]:
    """One for a recipe: its app runs once, and each test looks at something else that came of it."""
    lab = Lab(tmp_path_factory.mktemp("recipe"), authority, confdir)
    yield lab
    lab.close()
