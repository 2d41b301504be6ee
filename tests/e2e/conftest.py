from __future__ import annotations

import shutil

import pytest

from sessiontap.demo.certs import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA that every upstream's certificate comes from."""
    return Authority(tmp_path_factory.mktemp("upstream-ca"), "Upstream test CA")


@pytest.fixture(scope="session")
def curl() -> str:
    path = shutil.which("curl")
    if path is None:
        pytest.skip("curl is not installed")
    return path
