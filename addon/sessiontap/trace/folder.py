"""Where a trace lies unless one says otherwise."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """`SESSIONTAP_TRACE`, else `~/.sessiontap/trace`."""
    named = environ.get("SESSIONTAP_TRACE")
    return Path(named).expanduser() if named else Path.home() / ".sessiontap" / "trace"
