"""What can be mutated, as a table. A new target is a line here and a module with `prepare`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tests.fuzz.rounds import Make

Prepare = Callable[[Path | None], Make]
"""Of the folder with recorded exchanges, or None: what makes a case."""


@dataclass(frozen=True, slots=True)
class Target:
    what: str
    module: str

    def load(self) -> Prepare:
        """Its module's `prepare`."""
        prepare: Prepare = import_module(self.module).prepare
        return prepare


TARGETS: dict[str, Target] = {
    "readers": Target("requests and replies of every wire family", "tests.fuzz.readers"),
    "sockets": Target("frames of WebSockets", "tests.fuzz.sockets"),
    "grpc": Target("bodies of gRPC", "tests.fuzz.grpc_bodies"),
    "pipeline": Target("exchanges through the addon's hooks into a log and out of it", "tests.fuzz.pipeline"),
    "exporters": Target("recorded calls as jsonl, HAR and flow file, read back by mitmproxy", "tests.fuzz.exporters"),
    "rules": Target("rules files, loaded and asked", "tests.fuzz.rules_files"),
    "logs": Target("damaged and hostile logs", "tests.fuzz.logs"),
}
