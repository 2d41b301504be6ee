"""The file with a running proxy's address: `~/.sessiontap/run/PID.json`, read by `env`, `exec`, `doctor`
and the commands that list calls.

pid, started, uid    of the proxy; `started` in Unix seconds
private_to           the pid of the `exec` that started it for its program alone; else null
listeners            [{"mode": "regular", "host": "127.0.0.1", "port": 8080}, ...], the mode as mitmproxy names it
answers_at           the same, where it answers for itself (own_address.py) once it accepts no connections and waits for
                     its calls in flight to end; else null
confdir, trace, rules
token                opens the list of calls in flight (own_address.py)
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sessiontap import private

PRIVATE_TO = "SESSIONTAP_PRIVATE_TO"
"""The variable by which `exec` tells the proxy that it starts whose it is."""
READY = "SESSIONTAP_READY"
"""The variable with the number of a pipe's end that this process inherits, and closes as soon as the file is there."""
ON_ALL_INTERFACES = (
    "sessiontap: the proxy listens on all interfaces, so other machines can use it. "
    "To keep it to this one: --listen-host 127.0.0.1"
)


def folder() -> Path:
    """Return the folder of state files."""
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
        json.dump({**_process(), **values}, file)
    draft.rename(path)
    if (ready := os.environ.pop(READY, "")).isascii() and ready.isdigit():
        with suppress(OSError):
            os.close(int(ready))
    return path


def not_written(error: OSError) -> str:
    """Return the sentence for a user whose proxy cannot write its state file."""
    return (
        f"sessiontap: `sessiontap env` and `exec` will not find this proxy: {folder()} cannot be "
        f"written ({error.strerror or error})"
    )


def remove(path: Path) -> None:
    """Remove the state file, if it is still there."""
    path.unlink(missing_ok=True)


def _process() -> dict[str, Any]:
    owner = os.environ.get(PRIVATE_TO, "")
    return {
        "pid": os.getpid(),
        "started": time.time(),
        "uid": os.getuid() if hasattr(os, "getuid") else None,
        "private_to": int(owner) if owner.isascii() and owner.isdigit() else None,
    }
