"""Changes to every Python process of a proxy, whichever of them does the work: each a `sitecustomize` of its own."""

from __future__ import annotations

import os
from pathlib import Path

from tests.e2e.lab import own_environment


def environment(name: str) -> dict[str, str]:
    """What has a proxy and its helpers begin with the change `name`."""
    path = os.pathsep.join([str(Path(__file__).parent / name), own_environment()["PYTHONPATH"]])
    return {"PYTHONPATH": path}
