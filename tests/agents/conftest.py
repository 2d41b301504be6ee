"""Real agents, unmodified, against the local LLM server: only `scripts/test --agents` runs these.

They are installed once, outside the clone; a run needs no network but loopback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.agents.stage import Stage
from tests.e2e import authorities
from tests.e2e.lab import Lab

from sessiontap.demo.certs import Authority

authority, confdir = authorities.authority, authorities.confdir


@pytest.fixture
def new_stage(tmp_path: Path, authority: Authority, confdir: Path) -> Iterator[Callable[..., Stage]]:
    lab = Lab(tmp_path, authority, confdir)
    yield lambda **options: Stage(lab, tmp_path, **options)
    lab.close()


@pytest.fixture
def stage(new_stage: Callable[..., Stage]) -> Stage:
    return new_stage()
