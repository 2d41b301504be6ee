"""The JSON Schema (draft 7, which editors' YAML support understands best) of the language's table.

Where text is meant a number or a word like `No` may stand too, as in the reader: editors see what YAML made of it.
"""

from __future__ import annotations

from typing import Any

from sessiontap.rules.kinds import (
    AnyJson,
    Choice,
    Either,
    Flag,
    Integer,
    Key,
    KeyMap,
    ListOf,
    MapOf,
    Ref,
    TextOf,
    ValueKind,
)
from sessiontap.rules.schema import DEFINITIONS, FILE

Schema = dict[str, Any]


def json_schema() -> Schema:
    """The whole schema, as plain JSON values."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Sessiontap rules",
        "description": "Rules that give an unmodified app's LLM calls their sessions.",
        **_schema(FILE),
        "definitions": {name: _schema(kind) for name, kind in DEFINITIONS.items()},
    }


def _schema(kind: ValueKind) -> Schema:
    match kind:
        case Ref(name):
            return {"$ref": f"#/definitions/{name}"}
        case TextOf(_, json):
            return {"type": "string" if "pattern" in json else ["string", "number", "boolean"], **json}
        case Choice(options):
            return {"enum": list(options)}
        case Flag():
            return {"type": "boolean"}
        case Integer(_, only) if only is not None:
            return {"const": only}
        case Integer(least):
            return {"type": "integer", "minimum": least}
        case AnyJson():
            return {}
        case ListOf(item, lone, may_be_empty):
            many: Schema = {"type": "array", "items": _schema(item), **({} if may_be_empty else {"minItems": 1})}
            words = [{"enum": list(item.alone)}] if isinstance(item, Choice) and item.alone else []
            return {"anyOf": [_schema(item), *words, many]} if lone else many
        case MapOf(value):
            return {"type": "object", "additionalProperties": _schema(value)}
        case KeyMap(fields):
            required = [field.name for field in fields if field.required]
            return {
                "type": "object",
                "properties": {field.name: _described(field) for field in fields},
                "additionalProperties": False,
                **({"required": required} if required else {}),
            }
        case Either(text, record):
            return {"anyOf": [_schema(text), _schema(record)]}


def _described(field: Key) -> Schema:
    schema = _schema(field.kind)
    if "$ref" in schema:
        # Draft 7 ignores what stands beside a reference.
        schema = {"allOf": [schema]}
    examples = {"examples": list(field.examples)} if field.examples else {}
    return {**schema, "description": field.doc, **examples}
