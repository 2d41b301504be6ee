"""The authorities of a run of tests: the upstreams' and mitmproxy's own. For the conftest of tests with a `Lab`."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessiontap.demo.certs import Authority
from sessiontap.proxy.ca import ensure_ca


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA that every upstream's certificate comes from."""
    return Authority(tmp_path_factory.mktemp("upstream-ca"), "Upstream test CA")


@pytest.fixture(scope="session")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mitmproxy's configuration folder with its CA, shared: making the CA takes longer than a test."""
    folder = tmp_path_factory.mktemp("mitmproxy")
    ensure_ca(folder)
    return folder
