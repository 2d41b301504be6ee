"""The description of the site's answers in JSON, by OpenAPI 3.1: made of the pages' descriptors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sessiontap import __version__
from sessiontap.ui.page import MOST, Page, Parameter

_PLACES = {
    "session": "A session: its id, a unique prefix of it, or @1, @2, ... from the newest.",
    "call": "A call: its id, a unique prefix of it, @1, @2, ... from the newest, or SESSION/STEP.",
}
_ERROR = {
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "What is wrong."},
        "hint": {"type": "string", "description": "What to do."},
    },
    "required": ["error", "hint"],
}
_FAILURES = {
    "400": "A parameter is not known or has a value that it cannot have.",
    "403": "The client was not let in.",
    "404": "There is no such session or call.",
    "503": "The log cannot be read, or is not there yet.",
}


def openapi(pages: Iterable[Page]) -> dict[str, Any]:
    """The description of the pages' JSON."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sessiontap",
            "version": __version__,
            "description": "Sessions of LLM calls, as recorded on this machine. Read-only. What is unknown is null.",
        },
        "paths": {_path(page): {"get": _operation(page)} for page in pages},
        "components": {"schemas": {"Error": _ERROR}},
    }


def _path(page: Page) -> str:
    return f"{page.path}.json" if page.template else page.path


def _operation(page: Page) -> dict[str, Any]:
    schema = page.schema or {"type": "object"}
    return {
        "operationId": re.sub(r"\W+", "_", page.path).strip("_") or "sessions",
        "summary": page.title,
        "description": page.description,
        "parameters": [
            *(
                {"name": one, "in": "path", "required": True, "description": _PLACES[one], "schema": {"type": "string"}}
                for one in page.places
            ),
            *map(_parameter, page.parameters),
        ],
        "responses": {
            "200": {"description": page.title, "content": {"application/json": {"schema": schema}}},
            **{
                status: {
                    "description": text,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
                for status, text in _FAILURES.items()
            },
        },
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    match parameter.kind:
        case "integer":
            schema = {"type": "integer", "minimum": parameter.minimum, "maximum": MOST - 1}
        case "choice":
            schema = {"type": "string", "enum": list(parameter.choices)}
        case "flag":
            schema = {"type": "boolean"}
    if parameter.default is not None:
        schema["default"] = parameter.default
    if parameter.repeated:
        schema = {"type": "array", "items": schema}
    return {"name": parameter.name, "in": "query", "description": parameter.description, "schema": schema}
