"""Programs with each LLM package and HTTP library, unmodified: only `scripts/test --apps` runs them.

What they are written with is installed once, outside the clone; a run needs no network but loopback.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e import authorities
from tests.e2e.exec_stage import ExecStage
from tests.e2e.lab import Lab

from sessiontap.demo.certs import Authority

authority, confdir = authorities.authority, authorities.confdir


@pytest.fixture
def stage(tmp_path: Path, authority: Authority, confdir: Path) -> Iterator[ExecStage]:
    lab = Lab(tmp_path, authority, confdir)
    yield ExecStage(lab, tmp_path)
    lab.close()
