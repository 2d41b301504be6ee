"""The description of the site's answers in JSON, by OpenAPI 3.1: made of the pages' descriptors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sessiontap import __version__
from sessiontap.ui.page import MOST_INTEGER, Action, Page, Parameter

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
_COMPLETE = {
    "type": "boolean",
    "description": "False if the answer lacks what has not been read yet. An answer comes within about a second: ask "
    "again, and it goes on.",
}
_REFERENCE = "#/components/schemas/{name}"
_FAILURES = {
    "400": "A parameter is not known or has a value that it cannot have.",
    "403": "The client was not let in.",
    "404": "There is no such session or call.",
    "503": "The log cannot be read, or is not there yet.",
}
_FAILURES_OF_CHANGES = {
    "400": "The body is not what is described here.",
    "415": "The body is no JSON by its Content-Type.",
    "503": "The log cannot be written, such as in a folder that others own.",
}


def openapi(pages: Sequence[Page]) -> dict[str, Any]:
    """The description of the pages' JSON."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sessiontap",
            "version": __version__,
            "description": (
                "Sessions of LLM calls, as recorded on this machine. What is unknown is null. "
                "Scores and notes can be given, and nothing else be changed."
            ),
        },
        "paths": {_path(page): _operations(page) for page in pages},
        "components": {"schemas": {"Error": _ERROR} | _bodies(pages)},
    }


def _operations(page: Page) -> dict[str, Any]:
    found = {"get": _operation(page)}
    return found | {"post": _change(page, page.action)} if page.action is not None else found


def _bodies(pages: Sequence[Page]) -> dict[str, Any]:
    """The schemas of what is sent to pages, by their names."""
    types = [page.action.body for page in pages if page.action is not None]
    return msgspec.json.schema_components(types, ref_template=_REFERENCE)[1]


def _path(page: Page) -> str:
    return f"{page.path}.json" if page.template else page.path


def _operation(page: Page) -> dict[str, Any]:
    return {
        "operationId": _id(page),
        "summary": page.title,
        "description": page.description,
        "parameters": [*_places(page), *map(_parameter, page.parameters)],
        "responses": _responses(page.title, _schema(page), _FAILURES),
    }


def _schema(page: Page) -> dict[str, Any]:
    """The schema of a page's twin, or of an answer that is in JSON alone."""
    schema = page.schema or {"type": "object"}
    if not page.template:
        return schema
    return schema | {
        "properties": {**schema.get("properties", {}), "complete": _COMPLETE},
        "required": sorted({*schema.get("required", ()), "complete"}),
    }


def _change(page: Page, action: Action) -> dict[str, Any]:
    body = {"schema": {"$ref": _REFERENCE.format(name=action.body.__name__)}}
    return {
        "operationId": f"{_id(page)}_post",
        "summary": action.title,
        "description": action.description,
        "parameters": _places(page),
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": _responses(action.title, action.schema, _FAILURES | _FAILURES_OF_CHANGES),
    }


def _id(page: Page) -> str:
    return re.sub(r"\W+", "_", page.path).strip("_") or "sessions"


def _places(page: Page) -> list[dict[str, Any]]:
    return [
        {"name": one, "in": "path", "required": True, "description": _PLACES[one], "schema": {"type": "string"}}
        for one in page.path_parameters
    ]


def _responses(title: str, schema: Mapping[str, Any], failures: Mapping[str, str]) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": _REFERENCE.format(name="Error")}}}
    return {
        "200": {"description": title, "content": {"application/json": {"schema": schema}}},
        **{status: {"description": text, "content": error} for status, text in failures.items()},
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    match parameter.kind:
        case "integer":
            schema = {"type": "integer", "minimum": parameter.minimum, "maximum": MOST_INTEGER}
        case "choice":
            schema = {"type": "string", "enum": list(parameter.choices)}
        case "flag":
            schema = {"type": "boolean"}
    if parameter.default is not None:
        schema["default"] = parameter.default
    if parameter.repeated:
        schema = {"type": "array", "items": schema}
    return {"name": parameter.name, "in": "query", "description": parameter.description, "schema": schema}
