"""The filters that look at texts alone, by name, and where the index has these texts.

Apart from `filters`, since a shell's completion asks for it at each press of a key, and imports nothing else.
"""

from __future__ import annotations

FILTER_COLUMNS = {
    "name": ("session_name",),
    "path": ("path",),
    "user": ("user",),
    "provider": ("provider",),
    "model": ("request_model", "response_model"),
    "agent": ("agent", "subagent"),
    "tool": ("tool_calls", "tool_results"),
    "rule": ("rules",),
    "tags": ("tags",),
    "outcome": ("outcome",),
}
"""Filter -> the columns of `calls` with its texts, or with lists of them: one of them fits."""
