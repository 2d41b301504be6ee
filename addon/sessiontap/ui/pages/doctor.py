"""Why a call is not there: what passed unrecorded, was refused or lost, and the rules in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.ui.page import Page
from sessiontap.ui.reading import Reading


def data(reading: Reading, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The findings of `sessiontap doctor`, and the rules with the calls that each set something of."""
    return {"findings": reading.findings(), "rules": reading.rules()}


PAGE = Page(
    path="/doctor",
    title="Doctor",
    description="Why a call is not there: proxy, rules, log and CA, what passed unrecorded, what was lost.",
    template="doctor.html",
    data=data,
    live=True,
    schema={
        "type": "object",
        "properties": {
            "findings": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "about": {"type": "string"},
                        "text": {"type": "string"},
                        "is_wrong": {"type": "boolean"},
                    },
                    "required": ["about", "text", "is_wrong"],
                },
                "description": "As `sessiontap doctor --json`.",
            },
            "rules": {
                "type": "object",
                "properties": {
                    "file": {"type": ["string", "null"], "description": "The rules file; null for the defaults."},
                    "calls": {"type": "integer", "description": "The newest calls that were looked at."},
                    "rules": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "rule": {"type": "string"},
                                "calls": {"type": "integer", "description": "Those of which it set something."},
                                "newest": {"type": ["string", "null"], "description": "The start of the newest."},
                            },
                            "required": ["rule", "calls", "newest"],
                        },
                    },
                },
                "required": ["file", "calls", "rules"],
            },
        },
        "required": ["findings", "rules"],
    },
)
