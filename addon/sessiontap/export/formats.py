"""The formats, as a table. A new one is a line here and a module; nothing else knows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from sessiontap.export.call import ExportedCall

type Write = Callable[[Iterable[ExportedCall], BinaryIO], None]
"""Writes the calls as they come, oldest first, and holds one at a time. Raises OSError of `out`."""


@dataclass(frozen=True, slots=True)
class Format:
    """What a recorded call can be written as."""

    name: str
    what: str
    module: str
    """Has a function `write`; imported when the format is asked for."""
    is_text: bool = True
    """A terminal can show it."""

    def load(self) -> Write:
        """The format's `write`. Raises ImportError where a package that it needs is not installed."""
        write: Write = import_module(self.module).write
        return write


FORMATS = {
    one.name: one
    for one in (
        Format("jsonl", "JSON, a call a line", "sessiontap.export.jsonl"),
        Format("har", "HTTP Archive 1.2, for browsers' developer tools", "sessiontap.export.har"),
        Format("flow", "mitmproxy's flow file, for mitmweb -r", "sessiontap.proxy.flow_file", is_text=False),
    )
}
