"""The file with a running proxy's address: `~/.sessiontap/run/PID.json`, read by `env`, `exec` and `doctor`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sessiontap import private


def folder() -> Path:
    """The folder of state files."""
    return private.home() / "run"


def write(values: Mapping[str, Any]) -> Path:
    """Write this process's state file, whole or not at all, readable by its user only. Raises OSError."""
    place = folder()
    private.make(place.parent)
    private.make(place)
    path = place / f"{os.getpid()}.json"
    draft = path.with_suffix(".tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump({"pid": os.getpid(), "started": time.time(), **values}, file)
    draft.rename(path)
    return path


def remove(path: Path) -> None:
    """Take the state file away; one that is gone already is no matter."""
    path.unlink(missing_ok=True)
