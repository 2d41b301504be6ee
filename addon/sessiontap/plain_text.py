"""Recorded text as it may be shown to people: control characters are spelled out, so that they neither drive a terminal
nor hide or reorder what stands on a page.
"""

from __future__ import annotations

import re

_BIDI = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))  # overrides that make text read other than it is
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_CONTROLS |= {code: f"\\u{code:04x}" for code in _BIDI}
_ONE_LINE = _CONTROLS | {ord("\n"): "\\n", ord("\t"): "\\t"}
_ANY = re.compile(f"[{re.escape(''.join(map(chr, _CONTROLS)))}]")


def has_controls(text: str) -> bool:
    """Return True if `safe` would change it."""
    return _ANY.search(text) is not None


def safe(text: str) -> str:
    """Recorded text with its control characters spelled out, its lines kept."""
    return text.translate(_CONTROLS)


def line(text: str) -> str:
    """Recorded text on one line."""
    return text.translate(_ONE_LINE)
