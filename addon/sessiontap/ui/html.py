"""`export --format html`: a conversation as one page that opens from disk. Styles and scripts stand in it, nothing is
loaded, and its policy lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from typing import BinaryIO

from markupsafe import Markup

from sessiontap.export.exported_call import ExportedCall
from sessiontap.ui.document import sessions
from sessiontap.ui.rendering import template
from sessiontap.ui.static_files import static_files

STYLES, SCRIPTS = "style.css", "keys.js"


def write(calls: Iterable[ExportedCall], out: BinaryIO) -> None:
    """Write the page. Raises OSError of `out`."""
    static = static_files()
    style, script = (static[name].content.decode() for name in (STYLES, SCRIPTS))
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    drawn = template("export.html").stream(
        sessions=sessions(calls), style=Markup(style), script=Markup(script), policy=policy
    )
    for piece in drawn:
        out.write(piece.encode("utf-8", "backslashreplace"))


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
