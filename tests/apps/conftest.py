"""Programs with each LLM package and HTTP library, unmodified: only `scripts/test --apps` runs them.

What they are written with is installed once, outside the clone; a run needs no network but loopback.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.exec_stage import ExecStage
from tests.e2e.lab import Lab

from sessiontap.demo.certs import Authority
from sessiontap.proxy.ca import ensure_ca


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("upstream-ca"), "Upstream test CA")


@pytest.fixture(scope="session")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mitmproxy")
    ensure_ca(folder)
    return folder


@pytest.fixture
def stage(tmp_path: Path, authority: Authority, confdir: Path) -> Iterator[ExecStage]:
    lab = Lab(tmp_path, authority, confdir)
    yield ExecStage(lab, tmp_path)
    lab.close()
