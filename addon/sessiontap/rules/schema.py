"""The language of `rules.yaml`, as a table: every key, what may stand there, and what it means.

The reader checks a file by it and the JSON Schema for editors is made from it, so the two cannot differ. Adding a key:
a `Field` here, its meaning in `conditions.py` (what a rule looks at) or `compile.py` (what a rule sets).
"""

from __future__ import annotations

import re
from decimal import Decimal
from difflib import SequenceMatcher
from typing import Any

from sessiontap import dialects, gateways
from sessiontap.linear_regex import BytesRegex, RegexError
from sessiontap.llm.agents import AGENTS
from sessiontap.llm.call import OPERATIONS
from sessiontap.rules import duration
from sessiontap.rules.kinds import Choice, Either, Field, Flag, Json, Kind, ListOf, MapOf, Record, Ref, Text, Whole
from sessiontap.rules.patterns import (
    Pattern,
    client_pattern,
    header_pattern,
    host_pattern,
    path_pattern,
    route_pattern,
    text_pattern,
)
from sessiontap.rules.problems import Wrong, closest, quoted
from sessiontap.rules.template import Template, parse_template

VERSION = 1

GATEWAY_KINDS = tuple(gateways.KINDS)
ID_SOURCES = {
    "auto": "native, then conversation where the process is a server, else process",
    "native": "the client's own id, from an agent's headers and fields",
    "conversation": "inferred from the messages",
    "process": "one per process",
    "process-tree": "one per script or app with its helpers",
    "connection": "one per client connection",
}

HOP_HEADERS = frozenset({
    "connection", "content-encoding", "content-length", "expect", "host", "keep-alive", "proxy-authorization",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})
"""Headers that a call breaks without: rules may not set them."""


def _word(text: str) -> str:
    if not text.strip():
        raise Wrong("nothing stands here", "a word")
    return text


def _id(text: str) -> Template | str:
    """A source's name, a template, or a literal id, in which near misses of a source's name are refused."""
    if text in ID_SOURCES:
        return text
    if "$" in text:
        return parse_template(text)
    _word(text)
    if text == "app":
        raise Wrong("what the app itself sent always comes first", "one of " + ", ".join(ID_SOURCES) + "; or nothing")
    plain = text.casefold().replace("_", "-").replace(" ", "-")
    for source in ID_SOURCES:
        if SequenceMatcher(None, plain, source).ratio() >= 0.8:
            what = f"{quoted(text)} is no source of an id, and too near one to be taken as a literal id"
            raise Wrong(what, "one of " + ", ".join(ID_SOURCES) + ", a template or a literal id", source)
    return text


def _operation(text: str) -> Pattern:
    pattern = text_pattern(text)
    if pattern.literal is not None and text not in OPERATIONS:
        raise Wrong(f"{quoted(text)} is no operation", "one of " + ", ".join(OPERATIONS), closest(text, OPERATIONS))
    return pattern


def header_name(text: str) -> str:
    """A field name of RFC 9110, 5.1. Raises `Wrong`."""
    if re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", text) is None:
        raise Wrong(f"{quoted(text)} cannot be a header's name", "letters, digits and - without spaces")
    return text


def _settable_header(text: str) -> str:
    if header_name(text).lower() in HOP_HEADERS:
        raise Wrong(f"{quoted(text)} belongs to the connection, and calls break where it is changed")
    return text


def _host_with_port(text: str) -> str:
    host, _, port = text.rpartition(":")
    if port.isdigit() and ":" not in host:
        if re.fullmatch("[0-9]{1,5}", port) is None or not 0 < int(port) < 65_536:
            raise Wrong(f"{quoted(port)} is no port", "a number from 1 to 65535")
        host_pattern(host)
    elif host_pattern(text).is_regex:
        raise Wrong(f"{quoted(text)} is a regular expression", "a host glob such as *.corp.example")
    return text.lower()


def _header_glob(text: str) -> str:
    header_name(text.replace("?", "x"))
    header_pattern(text)
    return text


def _one_header(text: str) -> str:
    if "*" in header_name(text):
        raise Wrong(f"{quoted(text)} is a glob", "a header's name in full")
    return text


def _redacted(text: str) -> str:
    """`re:` and a regular expression, which is searched for in bytes, or plain text."""
    if text.startswith("re:"):
        try:
            found = next(BytesRegex(text.removeprefix("re:")).finditer(b"", 0, 0), None)
        except RegexError as error:
            raise Wrong(f"{quoted(text)} cannot be used: {error.what}", error.expected) from None
        if found is not None:
            raise Wrong(f"{quoted(text)} matches an empty text too, so it would redact everything", "a narrower one")
    return _word(text)


def _url(text: str) -> str:
    if re.fullmatch(r"https?://[^/\s?#]+[^\s?#]*", text) is None:
        raise Wrong(f"{quoted(text)} is no URL", "http://HOST or https://HOST, with a port and a path where needed")
    return text


def _dollars(text: str) -> Decimal:
    if re.fullmatch(r"([0-9]{1,9}(\.[0-9]{0,12})?|\.[0-9]{1,12})([eE]-[0-9]{1,2})?", text) is None:
        raise Wrong(f"{quoted(text)} is no price", "US dollars per million tokens, such as 0.15")
    return Decimal(text)


def _model(text: str) -> Pattern:
    return text_pattern(_word(text))


_GLOB = {"description": "A glob with * and ?, or re: and a regular expression."}
_TEMPLATE = {"description": "Text with ${variables}; ${name:-default} where one may be missing."}

WORD = Text(_word)
TEMPLATE = Ref("template")
ID = Text(_id, {"description": "A source of ids, a template or a literal id.", "examples": list(ID_SOURCES)})
DOLLARS = Text(_dollars, {"type": "number", "minimum": 0, "description": "US dollars per million tokens."})
DURATION = Text(duration.parse_duration, {"pattern": f"^{duration.SYNTAX}$", "description": duration.EXPECTED})


GLOB = Ref("glob")


def _any(parse: Any, **json: Any) -> ListOf:
    """One pattern or a list of which any may match."""
    return ListOf(Text(parse, {**_GLOB, **json}), lone=True)


def _globs(noun: str, key: Any = None, fold: bool = False) -> MapOf:
    return MapOf(GLOB, key, fold, noun)


PROCESS = Record((
    Field("name", GLOB, "Any of its names: comm, argv[0], the executable, an interpreter's script."),
    Field("exe", _any(path_pattern), "The executable's path; ~ is the home folder, ** crosses slashes."),
    Field("argv", GLOB, "The command line, joined with spaces."),
    Field("cwd", _any(path_pattern), "The working folder; ~ is the home folder, dir/** is also dir."),
    Field("user", GLOB, "The user it runs as."),
    Field("env", _globs("variable"), "Variables of its environment as it was started."),
    Field("ancestor", GLOB, "Any name of any of its parents."),
))

MATCH = Record((
    Field("process", ListOf(Ref("process"), lone=True),
          "The calling process, by name or by a map of name, exe, argv, cwd, user, env, ancestor.",
          examples=("node", {"name": "node", "cwd": "~/src/app/**"})),
    Field("client", ListOf(Text(client_pattern, {"description": "An IP address or a network."}), lone=True),
          "The client's address or network.", examples=("127.0.0.1", "10.0.0.0/8")),
    Field("proxy_user", GLOB, "The user name in HTTPS_PROXY=http://NAME:x@host:8080."),
    Field("host", _any(host_pattern), "The destination host as the app asked for it.", examples=("api.openai.com",)),
    Field("route", ListOf(Text(route_pattern, {"description": "/path or METHOD /path."}), lone=True),
          "Path with or without a method; {name} captures a segment, /**/ is any prefix.",
          examples=("POST /v1/chat/completions", "/**/chat/completions")),
    Field("query", _globs("parameter"), "Query parameters."),
    Field("provider", GLOB, "The provider.", examples=("openai", "anthropic")),
    Field("operation", _any(_operation, examples=list(OPERATIONS)), "What is asked for.", examples=("chat",)),
    Field("model", GLOB, "The requested model.", examples=("gpt-4*",)),
    Field("stream", Flag(), "The request asks for a stream."),
    Field("agent", GLOB, "A known client.", examples=tuple(agent.name for agent in AGENTS)),
    Field("subagent", GLOB, "The known client's sub-agent type."),
    Field("offers", GLOB, "A tool that the request offers."),
    Field("tool_result", GLOB, "A tool whose result stands after the last assistant message."),
    Field("message", GLOB, "Text of the newest user message, as a whole: *word* finds a word."),
    Field("prompt", GLOB, "Text of the system prompt, as a whole: *word* finds a word."),
    Field("header", _globs("header", header_name, fold=True), "Request headers."),
    Field("body", _globs("field"), "Fields of the JSON body by dotted path; -1 is the last item."),
    Field("not", Ref("match"), "Holds where this does not, and where what it looks at is unknown."),
))

SESSION = Record((
    Field("name", TEMPLATE, "The session's name. Default: the agent's, else the process's, else proxy user or host."),
    Field("id", ListOf(ID, lone=True), "Where the id comes from, or a ladder of which the first that yields is used.",
          examples=("process", ["${env.RUN_ID}", "native", "process"])),
    Field("path", TEMPLATE, "The call's place in the session: levels parted by slashes.", examples=("/plan/${model}",)),
    Field("idle", DURATION, "For generated ids: after this long without a call the next starts a new session."),
    Field("max_calls", Whole(1), "For generated ids: after this many calls the next starts a new session."),
))

SEND = ListOf(Choice(tuple(dialects.WRITTEN), dialects.LATER, alone=("none", "auto")), lone=True, may_be_empty=True)

RULE = Record((
    Field("rule", WORD, "A label, for explain and the trace."),
    Field("match", Ref("match"), "When the rule applies. Without it, to every call."),
    Field("session", SESSION, "The session that the call belongs to: the wish to send it."),
    Field("user", TEMPLATE, "The user's id."),
    Field("properties", MapOf(TEMPLATE, header_name, True, "property"), "Custom properties."),
    Field("tags", ListOf(TEMPLATE, lone=True), "Tags; those of several rules add up."),
    Field("state", MapOf(Json(), None, False, "key"), "TraceForge state: JSON, at most 10,240 bytes."),
    Field("headers", Record((
        Field("set", MapOf(TEMPLATE, _settable_header, True, "header"), "Request headers to set."),
        Field("remove", ListOf(Text(_header_glob), lone=True), "Request headers to remove: names with * and ?."),
    )), "Any other request header."),
    Field("send", SEND, "Dialects to write; none: record only; auto: what the destination is known to read."),
    Field("existing", Choice(("keep", "replace")), "What becomes of a session header that the app sent itself."),
    Field("gateway", WORD, f"Reroute the call: {', '.join(GATEWAY_KINDS)}, or one named under gateways.",
          examples=GATEWAY_KINDS),
    Field("capture", Choice(("full", "metadata", "none")), "How much of the call is recorded."),
    Field("final", Flag(), "No later rule is read where this one matches."),
    Field("ignore", Flag(), "The call is left alone: untouched and unrecorded."),
))

HOST = Record((
    Field("host", Text(_host_with_port, {"description": "A host glob, with or without a port."}), "The host.", True),
    Field("provider", WORD, "What to call the provider."),
    Field("operation", Choice(OPERATIONS), "What its calls are; without it their paths decide."),
))

GATEWAY = Record((
    Field("kind", Choice(GATEWAY_KINDS, gateways.LATER), "What it is.", True),
    Field("url", Text(_url, {"format": "uri"}), "Where it is, if not as usual: https://, or http:// on this machine."),
    Field("key", TEMPLATE, "Its key.", examples=("${proxy_env.HELICONE_API_KEY}",)),
))

REDACT = Record((
    Field("headers", ListOf(Text(_one_header), lone=True), "More headers whose values are secret."),
    Field("patterns", ListOf(Text(_redacted), lone=True), "More secrets: plain text, or re: and a regular expression."),
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
    Field("prices", MapOf(PRICE, _model, noun="model"), "What models cost, by name or glob, per million tokens.",
          examples=({"my-model": {"input": 0.5, "output": 1.5}},)),
))

DEFINITIONS: dict[str, Kind] = {
    "match": ListOf(Ref("conditions"), lone=True),
    "conditions": MATCH,
    "process": Either(Text(text_pattern, _GLOB), PROCESS),
    "glob": ListOf(Text(text_pattern, _GLOB), lone=True),
    "template": Text(parse_template, _TEMPLATE),
}
