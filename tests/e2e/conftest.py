from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e import authorities
from tests.e2e.lab import Lab

from sessiontap.demo.certs import Authority

authority, confdir = authorities.authority, authorities.confdir
UNDICI = "undici@7"
"""Node's fetch goes through a proxy by its ProxyAgent; the major version that runs on Node 20 and later."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("e2e")


@pytest.fixture
def lab(tmp_path: Path, authority: Authority, confdir: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, authority, confdir)
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory, authority: Authority, confdir: Path) -> Iterator[Lab]:
    """A lab for a module whose tests share its proxy."""
    lab = Lab(tmp_path_factory.mktemp("lab"), authority, confdir)
    yield lab
    lab.close()


@pytest.fixture(scope="session")
def curl() -> str:
    path = shutil.which("curl")
    if path is None:
        pytest.skip("curl is not installed")
    return path


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """A folder with Node's undici package, kept outside the clone from one run to the next."""
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        pytest.skip("node and npm are not installed")
    place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sessiontap-tests" / UNDICI
    if not (place / "node_modules" / "undici").is_dir():
        place.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(place), UNDICI]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("npm could not install undici within two minutes")
        if done.returncode:
            shutil.rmtree(place / "node_modules", ignore_errors=True)
            pytest.skip(f"npm could not install undici (exit status {done.returncode})")
    return place / "node_modules"
