"""Recorded calls in formats of other tools: JSON Lines, HAR, mitmproxy's flow files, Parquet, HTML, Markdown.

`FORMATS` lists the formats. The command, its help, the documentation's test and the format tests read this list. A new
format is a line in it and a module with a function `write(calls, out)`; describe it in docs/exports.md under its name.

    exported_call.py   the call that a format is given: plain values, and the messages of a WebSocket's turn
    jsonl.py, har.py   one module a format; mitmproxy's own is `proxy/flow_file.py`, in the package that knows
                       mitmproxy; Parquet's are in `parquet/`, documents' in `ui/`
    leaving.py         further redaction, content left out, and a list of what leaves
    curl.py            one request as a curl command

A format's module is imported when the format is asked for, so that the command's help costs nothing. This package
imports `trace` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

    from sessiontap.export.exported_call import ExportedCall

type Write = Callable[[Iterable[ExportedCall], BinaryIO], None]
"""Write the calls as they come, oldest first, and hold one at a time, or a batch of bounded size. Raises OSError if the
file cannot be written."""

type WriteFolder = Callable[[Iterable[ExportedCall], Path], None]
"""The same into a new folder, which is there already and empty."""


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """One format that recorded calls can be written in."""

    name: str
    """The value of `--format`."""
    summary: str
    """A few words for the command's help."""
    module: str
    """The module with the function `write`. It is imported when the format is used, so that the help imports none."""
    is_text: bool = True
    """A terminal can show the format."""
    is_document: bool = False
    """It is one document of all calls, which are held together while it is made; others are written call by call."""
    has_bodies: bool = True
    """It tells what was said; False: bodies need not be read."""
    folder: str | None = None
    """It can be many files in a folder, below this name: the module has a function `write_folder`, too."""
    package: str | None = None
    """The extra that installs what it needs: `sessiontap[parquet]`."""

    def load(self) -> Write:
        """Return the format's `write`. Raises ImportError if a package that it needs is not installed."""
        write: Write = import_module(self.module).write
        return write

    def load_folder(self) -> WriteFolder:
        """Return the format's `write_folder`. Raises ImportError as `load` does."""
        write: WriteFolder = import_module(self.module).write_folder
        return write


FORMATS = {
    one.name: one
    for one in (
        ExportFormat("jsonl", "JSON, a call a line", "sessiontap.export.jsonl"),
        ExportFormat("har", "HTTP Archive 1.2, for browsers' developer tools", "sessiontap.export.har"),
        ExportFormat("flow", "mitmproxy's flow file, for mitmweb -r", "sessiontap.proxy.flow_file", is_text=False),
        ExportFormat(
            "parquet",
            "Apache Parquet, a row a call, for SQL engines; into a folder by day and host",
            "sessiontap.parquet.calls_file",
            is_text=False,
            has_bodies=False,
            folder="calls",
            package="sessiontap[parquet]",
        ),
        ExportFormat(
            "parquet-bodies",
            "the same of what was said",
            "sessiontap.parquet.bodies_file",
            is_text=False,
            folder="bodies",
            package="sessiontap[parquet]",
        ),
        ExportFormat("html", "one page that opens without a network", "sessiontap.ui.html", is_document=True),
        ExportFormat("markdown", "the conversation as Markdown", "sessiontap.ui.markdown", is_document=True),
    )
}
