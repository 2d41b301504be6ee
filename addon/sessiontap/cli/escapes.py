"""Recorded text as a terminal may show it: what would drive the terminal is spelled out."""

from __future__ import annotations

import re

_BIDI = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))  # overrides that make text read other than it is
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_CONTROLS |= {code: f"\\u{code:04x}" for code in _BIDI}
_IN_JSON = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What JSON need not escape, and may. A pattern, since `translate` takes ten times as long to find nothing."""
_ONE_LINE = _CONTROLS | {ord("\n"): "\\n", ord("\t"): "\\t"}


def safe(text: str) -> str:
    """Recorded text as a terminal may show it: control characters spelled out, lines kept."""
    return text.translate(_CONTROLS)


def line(text: str) -> str:
    """The same on one line."""
    return text.translate(_ONE_LINE)


def json_safe(text: str) -> str:
    """JSON text as a terminal may show it, the same to every reader of JSON."""
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
