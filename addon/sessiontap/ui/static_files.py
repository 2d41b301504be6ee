"""The style sheet and the scripts, read once and known by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is sent."""

    name: str
    content: bytes
    digest: str

    @property
    def url(self) -> str:
        """Another content has another address."""
        return f"/static/{self.name}?v={self.digest}"

    @property
    def type(self) -> str:
        return TYPES[self.name.rpartition(".")[2]]


def static_files() -> Mapping[str, StaticFile]:
    """All of `static/`, by name."""
    found = {}
    for entry in files("sessiontap.ui").joinpath("static").iterdir():
        if entry.name.rpartition(".")[2] in TYPES:
            content = entry.read_bytes()
            found[entry.name] = StaticFile(entry.name, content, hashlib.sha256(content).hexdigest()[:16])
    return found
