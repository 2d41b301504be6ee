"""Sends a session by Langfuse's own SDK: langfuse_sdk.py SESSION.json. LANGFUSE_* variables say where to.

SESSION.json: {"trace": {...}, "release", "root": OBSERVATION}; an observation has type, name, the SDK's own keyword
arguments, and `children`.
"""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from langfuse import Langfuse, propagate_attributes  # type: ignore[import-not-found]

session = json.loads(Path(sys.argv[1]).read_text())
client = Langfuse(release=session["release"])


def send(observation: dict[str, Any], parent: Any) -> None:
    given = {key: value for key, value in observation.items() if key not in ("type", "children")}
    if "completion_start_time" in given:
        given["completion_start_time"] = datetime.fromisoformat(given["completion_start_time"])
    span = parent.start_observation(as_type=observation["type"], **given)
    for child in observation.get("children", ()):
        send(child, span)
    span.end()


with propagate_attributes(**session["trace"]):
    send(session["root"], client)
client.flush()
