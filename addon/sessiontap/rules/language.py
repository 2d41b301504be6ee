"""The language of `rules.yaml`: every key, its kind of value and its meaning, and the JSON Schema of all that.

The reader checks a file by this table and the JSON Schema for editors is made from it, so the two cannot differ. The
keys of a rule are tables of their own: `match_keys.py` has those that look at a call, `set_keys.py` those that set
something.

The schema is of draft 7, which editors' YAML support understands best. Text may also be a number or a word like `No`,
as for the reader: editors see what YAML made of it.
"""

from __future__ import annotations

from typing import Any

from sessiontap import gateways, push
from sessiontap.llm.call import OPERATIONS
from sessiontap.rules.kinds import (
    DOLLARS,
    DURATION,
    GLOB_SCHEMA,
    TEMPLATE,
    TEMPLATE_SCHEMA,
    WORD,
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
    host_with_port,
    model_pattern,
    one_header,
    push_endpoint,
    push_header,
    redacted,
    settable_header,
    url,
)
from sessiontap.rules.match_keys import MATCH_KEYS
from sessiontap.rules.match_patterns import text_pattern
from sessiontap.rules.notified import NOTIFIED
from sessiontap.rules.own_dialects import OWN_DIALECTS
from sessiontap.rules.set_keys import FAIL, GATEWAY_KINDS, SECTIONS, SEND, SET_KEYS
from sessiontap.rules.template import parse_template

VERSION = 1


def _match_fields(section: str) -> tuple[Key, ...]:
    """The fields of the match keys in a section; empty: of those in none."""
    split = [(*key.name.rpartition("."), key) for key in MATCH_KEYS]
    return tuple(Key(name, key.kind, key.doc, examples=key.examples) for at, _, name, key in split if at == section)


def _set_fields(section: str) -> tuple[Key, ...]:
    """The fields of the set keys in a section; empty: those in none and, each at its first key, the sections."""
    fields: dict[str, Key] = {}
    for key in SET_KEYS:
        at, _, name = key.name.rpartition(".")
        if at == section:
            fields[name] = Key(name, key.kind, key.doc, examples=key.examples)
        elif not section and at not in fields:
            fields[at] = Key(at, KeyMap(_set_fields(at)), SECTIONS[at])
    return tuple(fields.values())


PROCESS = KeyMap(_match_fields("process"))

MATCH = KeyMap((
    Key("process", ListOf(Ref("process"), lone=True),
          f"The calling process, by name or by a map of {', '.join(field.name for field in PROCESS.fields)}.",
          examples=("node", {"name": "node", "cwd": "~/src/app/**"})),
    *_match_fields(""),
    Key("not", Ref("match"), "Holds if this does not, or if the fact that it looks at is unknown."),
))

SESSION = KeyMap(_set_fields("session"))

_ENDINGS = (
    Key("final", Flag(), "If the rule matches, no later rule is read."),
    Key("ignore", Flag(), "If the rule matches, the call is left alone: untouched and unrecorded."),
)

RULE = KeyMap((
    Key("rule", WORD, "A label, for explain and the trace."),
    Key("match", Ref("match"), "When the rule applies. Without it, to every call."),
    *_set_fields(""),
    Key("steps", ListOf(Ref("step")), "Short rules for some of its calls, read before it: each matches if both do.",
        examples=([{"tool_result": "web_search", "path": "+/web-search"}],)),
    *_ENDINGS,
))

STEP = KeyMap(
    (
        Key("step", WORD, "A label, for explain and the trace."),
        *MATCH.fields,
        Key("match", Ref("match"), "Further conditions, or a list of alternatives."),
        Key("path", TEMPLATE, "Its session.path; +/search goes on from the path of its rule.", examples=("+/search",)),
        *_set_fields(""),
        *_ENDINGS,
    ),
    refused={
        "steps": "a step has no steps of its own",
        "rule": "the label of a step is its key 'step'",
    },
)

HOST = KeyMap((
    Key("host", TextOf(host_with_port, {"description": "A host glob, with or without a port."}), "The host.", True),
    Key("provider", WORD, "The provider's name."),
    Key("operation", Choice(OPERATIONS), "The operation of its calls. Without it their paths decide."),
))

GATEWAY = KeyMap((
    Key("kind", Choice(GATEWAY_KINDS, gateways.LATER), "The kind of gateway.", True),
    Key(
        "url",
        TextOf(url, {"format": "uri"}),
        "Its address, if it is not the usual one: https://, or http:// on this machine.",
    ),
    Key("key", TEMPLATE, "Its key.", examples=("${proxy_env.HELICONE_API_KEY}",)),
    Key("headers", MapOf(TEMPLATE, settable_header, True, "header"), "Headers that it gets beside those of its kind.",
          examples=({"X-Team": "${env.TEAM}"},)),
    Key("path", TEMPLATE, "Of a custom one: the path of a call there, without the query. Default: the call's own.",
          examples=("/${provider}${path}",)),
    Key("fail", FAIL, "If it fails, its calls go to their own hosts (open, the default) or fail (closed)."),
    Key("retry_unanswered", Flag(),
          "A call that it got and did not answer is made once more, to its own host: it may cost twice."),
    Key("connect_timeout", DURATION, "A call goes direct if the gateway is not connected by then. Default: 3s."),
    Key("answer_timeout", DURATION, "It counts as failing if no reply has begun by then. Default: 2m."),
))

REDACT = KeyMap((
    Key("headers", ListOf(TextOf(one_header), lone=True), "More headers whose values are secret."),
    Key("patterns", ListOf(TextOf(redacted), lone=True), "More secrets: plain text, or re: and a regular expression."),
))

PRICE = KeyMap((
    Key("input", DOLLARS, "A million input tokens.", True, examples=(0.15,)),
    Key("output", DOLLARS, "A million output tokens, reasoning included.", True, examples=(0.6,)),
    Key("cache_read", DOLLARS, "A million input tokens read from a cache. Default: as other input."),
    Key("cache_write", DOLLARS, "A million input tokens written to a cache. Default: as other input."),
))

PUSH = KeyMap((
    Key("to", Choice(tuple(push.TARGETS)), "The reader that calls are sent to.", True),
    Key("endpoint", TextOf(push_endpoint), "Its address, if not the usual; of a target of files a folder."),
    Key("content", Flag(), "Prompts, replies, tools' arguments and results are sent, too."),
    Key("headers", MapOf(WORD, push_header, fold=True, noun="header"), "Headers of each request, nothing secret."),
    Key("credentials", WORD, "A private file with lines NAME=value, if the proxy's environment has no credentials."),
))

FILE = KeyMap((
    Key("version", Integer(1, only=VERSION), "The language's version: 1."),
    Key("send", SEND, "Dialects that rules write unless they say otherwise. Default: helicone."),
    Key("rules", ListOf(RULE, may_be_empty=True), "Read in order: each sets the fields that no earlier one has set."),
    Key("hosts", ListOf(HOST, may_be_empty=True), "More hosts that are intercepted and recorded."),
    Key("gateways", MapOf(GATEWAY), "Gateways by name."),
    Key("dialects", OWN_DIALECTS, "Dialects of one's own by name: templates by header.",
          examples=({"acme": {"X-Acme-Session": "${session.id}", "X-Acme-Path": "${session.path}"}},)),
    Key("redact", REDACT, "More secrets to redact in the trace."),
    Key("prices", MapOf(PRICE, model_pattern, noun="model"), "Prices of models, by name or glob, per million tokens.",
          examples=({"my-model": {"input": 0.5, "output": 1.5}},)),
    Key("push", ListOf(PUSH, may_be_empty=True), "Readers that recorded calls are sent to while the proxy runs."),
    Key("alerts", NOTIFIED, "Who is told of alerts and limits that are reached, beside the terminal and the log."),
))

DEFINITIONS: dict[str, ValueKind] = {
    "match": ListOf(Ref("conditions"), lone=True),
    "conditions": MATCH,
    "step": STEP,
    "process": Either(TextOf(text_pattern, GLOB_SCHEMA), PROCESS),
    "glob": ListOf(TextOf(text_pattern, GLOB_SCHEMA), lone=True),
    "template": TextOf(parse_template, TEMPLATE_SCHEMA),
}

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
        case Choice(options, alone=alone, section=str()):
            return {"anyOf": [{"enum": list(options)}, {"type": "string", "not": {"enum": list(alone)}}]}
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
