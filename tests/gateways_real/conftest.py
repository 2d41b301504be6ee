"""Real gateways between a real OpenAI client and a local provider: only `scripts/test --gateways` runs these.

They are installed once, outside the clone; a run needs no network but loopback.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e import authorities
from tests.e2e.lab import Lab
from tests.gateways_real.stage import LiteLlm, PortkeyGateway, Stage

from sessiontap.demo.certs import Authority

authority, confdir = authorities.authority, authorities.confdir


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, authority: Authority, confdir: Path) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("gateways")
    lab = Lab(folder, authority, confdir)
    yield Stage(lab, folder)
    lab.close()


@pytest.fixture(scope="session")
def litellm(stage: Stage) -> Iterator[LiteLlm]:
    with LiteLlm.started(stage) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def portkey(stage: Stage) -> Iterator[PortkeyGateway]:
    with PortkeyGateway.started(stage) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def fresh(stage: Stage) -> None:
    stage.proxy.pass_over()
    stage.provider.requests.clear()
