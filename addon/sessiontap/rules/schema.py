"""The language of `rules.yaml`: every key, what may stand there, and what it means.

The reader checks a file by it and the JSON Schema for editors is made from it, so the two cannot differ. The keys of a
rule are tables of their own: `match_keys.py` has what a rule looks at, `set_keys.py` what it sets.
"""

from __future__ import annotations

from sessiontap import gateways
from sessiontap.llm.call import OPERATIONS
from sessiontap.rules.kinds import Choice, Either, Field, Flag, Kind, ListOf, MapOf, Record, Ref, Text, Whole
from sessiontap.rules.match_keys import MATCH_KEYS
from sessiontap.rules.patterns import text_pattern
from sessiontap.rules.set_keys import GATEWAY_KINDS, SECTIONS, SEND, SET_KEYS
from sessiontap.rules.template import parse_template
from sessiontap.rules.texts import (
    DOLLARS,
    GLOB_SCHEMA,
    TEMPLATE,
    TEMPLATE_SCHEMA,
    WORD,
    host_with_port,
    model_pattern,
    one_header,
    redacted,
    url,
)

VERSION = 1


def _match_fields(section: str) -> tuple[Field, ...]:
    """The fields of the match keys in a section; empty: of those in none."""
    split = [(*key.name.rpartition("."), key) for key in MATCH_KEYS]
    return tuple(Field(name, key.kind, key.doc, examples=key.examples) for at, _, name, key in split if at == section)


def _set_fields(section: str) -> tuple[Field, ...]:
    """The fields of the set keys in a section; empty: those in none and, each at its first key, the sections."""
    fields: dict[str, Field] = {}
    for key in SET_KEYS:
        at, _, name = key.name.rpartition(".")
        if at == section:
            fields[name] = Field(name, key.kind, key.doc, examples=key.examples)
        elif not section and at not in fields:
            fields[at] = Field(at, Record(_set_fields(at)), SECTIONS[at])
    return tuple(fields.values())


PROCESS = Record(_match_fields("process"))

MATCH = Record((
    Field("process", ListOf(Ref("process"), lone=True),
          f"The calling process, by name or by a map of {', '.join(field.name for field in PROCESS.fields)}.",
          examples=("node", {"name": "node", "cwd": "~/src/app/**"})),
    *_match_fields(""),
    Field("not", Ref("match"), "Holds where this does not, and where what it looks at is unknown."),
))

SESSION = Record(_set_fields("session"))

RULE = Record((
    Field("rule", WORD, "A label, for explain and the trace."),
    Field("match", Ref("match"), "When the rule applies. Without it, to every call."),
    *_set_fields(""),
    Field("final", Flag(), "No later rule is read where this one matches."),
    Field("ignore", Flag(), "The call is left alone: untouched and unrecorded."),
))

HOST = Record((
    Field("host", Text(host_with_port, {"description": "A host glob, with or without a port."}), "The host.", True),
    Field("provider", WORD, "What to call the provider."),
    Field("operation", Choice(OPERATIONS), "What its calls are; without it their paths decide."),
))

GATEWAY = Record((
    Field("kind", Choice(GATEWAY_KINDS, gateways.LATER), "What it is.", True),
    Field("url", Text(url, {"format": "uri"}), "Where it is, if not as usual: https://, or http:// on this machine."),
    Field("key", TEMPLATE, "Its key.", examples=("${proxy_env.HELICONE_API_KEY}",)),
))

REDACT = Record((
    Field("headers", ListOf(Text(one_header), lone=True), "More headers whose values are secret."),
    Field("patterns", ListOf(Text(redacted), lone=True), "More secrets: plain text, or re: and a regular expression."),
))

PRICE = Record((
    Field("input", DOLLARS, "A million input tokens.", True, examples=(0.15,)),
    Field("output", DOLLARS, "A million output tokens, those of reasoning too.", True, examples=(0.6,)),
    Field("cache_read", DOLLARS, "A million input tokens read from a cache. Without it as other input."),
    Field("cache_write", DOLLARS, "A million input tokens written to a cache. Without it as other input."),
))

FILE = Record((
    Field("version", Whole(1, only=VERSION), "The language's version: 1."),
    Field("send", SEND, "Dialects that rules write unless they say otherwise. Default: helicone."),
    Field("rules", ListOf(RULE, may_be_empty=True), "Read in order: each fills in what none before it has set."),
    Field("hosts", ListOf(HOST, may_be_empty=True), "More hosts that are intercepted and recorded."),
    Field("gateways", MapOf(GATEWAY), "Gateways by name."),
    Field("redact", REDACT, "What is redacted in the trace besides known secrets."),
    Field("prices", MapOf(PRICE, model_pattern, noun="model"), "What models cost, by name or glob, per million tokens.",
          examples=({"my-model": {"input": 0.5, "output": 1.5}},)),
))

DEFINITIONS: dict[str, Kind] = {
    "match": ListOf(Ref("conditions"), lone=True),
    "conditions": MATCH,
    "process": Either(Text(text_pattern, GLOB_SCHEMA), PROCESS),
    "glob": ListOf(Text(text_pattern, GLOB_SCHEMA), lone=True),
    "template": Text(parse_template, TEMPLATE_SCHEMA),
}
