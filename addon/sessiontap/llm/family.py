"""All that a wire family is: its routes, its readers, and the places where its requests keep things.

Each family has a module of its own, which ends in `FAMILY = Family(...)`. `families.MODULES` names the modules in the
order in which they are asked; nothing else has to know of a new one. openai_embeddings.py is a short example.

A family's two readers get along with any input: they raise nothing on purpose, and put faults in words into `problems`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm.call import Asked, Call, CallError, Operation, Reply
from sessiontap.llm.messages import MessageShape, PartReader
from sessiontap.llm.refusal import Refusal, openai_refusal
from sessiontap.llm.response_facts import error_of


class FamilyRoute(NamedTuple):
    """A path of the family. The first route that fits wins, in the order of the families and of their routes.

    In a pattern `{name}` stands for one path segment (`{model}` is the model), `{rest*}` for any number of them, and
    `**` in front for any prefix, because compatible services put `/openai`, `/api`, `/compatible-mode`, `/inference` or
    a gateway's own path before `/v1/chat/completions`.
    """

    method: str
    """`*` for any."""
    pattern: str
    operation: Operation
    providers: tuple[str | None, ...] = ()
    """The providers for which alone the route holds; empty for those of the family. Cohere and Writer both have a
    `/v1/chat`."""
    family: str = ""
    """Another family whose path this is, if it would else be taken for one of ours by a later route."""
    by_model: bool = False
    """The path serves models of any kind: the model's name tells the operation, if it can."""


class SocketGrammar(NamedTuple):
    """The types of a WebSocket's frames, by which it is taken apart into turns: a request and its reply each."""

    starts: frozenset[str] = frozenset()
    """The client's frames that ask for a reply."""
    ends: frozenset[str] = frozenset()
    """The server's frames that end one."""
    begins: str | None = None
    """The server's frame that gives the oldest waiting turn its id."""
    answers: str = "response."
    """The server's frames that are part of a reply begin so."""
    cancels: str | None = None
    """The client's frame that is about the reply under way, although it names none."""
    fails: str = "error"
    """The server's frame that tells an error."""
    busy: str | None = None
    """The error's code if a turn asked for a reply while another one was under way."""
    unasked: bool = False
    """The server may begin a reply that no frame asked for."""
    settings: str | None = None
    """The client's frame whose `session` holds from then on."""
    items: str | None = None
    """The client's frame that adds its `item` to what the next turn asks."""


@dataclass(frozen=True, slots=True)
class Family:
    """One wire family."""

    name: str
    """As records state it: `openai-chat`."""
    asked: Callable[[Request, Any], Asked]
    """Return what a request asks for. The second argument is its parsed JSON, or None.

    `read_request` adds a model that only the URL names, and the problems of the JSON itself.
    """
    reply: Callable[[Call, Response], Reply]
    """Return what came back with a status below 400: whole or streamed, complete or cut, with its body decoded.

    `read_reply` fills in `Reply.stream`.
    """
    routes: tuple[FamilyRoute, ...] = ()
    providers: tuple[str | None, ...] = ()
    """The providers for which alone its routes hold; empty for all. None is a host that is not known."""
    provider: str | None = None
    """The provider of a call to a host that is not known."""
    port: int | None = None
    """Whatever listens there, on a host that is not known, is of this provider."""
    request_json: Callable[[Request], tuple[Any, str | None]] | None = None
    """Return a request's body as the JSON that `asked` and `messages` read, and its fault in words. None if the body is
    JSON."""
    asks_once: bool = False
    """A request of a type in which both sides may take turns is whole before the reply begins: it is read as others."""
    is_request: Callable[[Operation, dict[str, Any]], bool] | None = None
    """Return whether a JSON body is plainly a request for this operation: so are calls recognised at hosts that are not
    known (`hosts.recognised_family`). None if no body is plain enough."""
    is_upgrade: Callable[[str, Headers], bool] | None = None
    """The same of a WebSocket's upgrade, by its path with the query and its headers."""
    is_subscription: Callable[[Headers], bool] | None = None
    """Return whether a request came with a login that is paid by the month, not with a key."""
    error: Callable[[Response], CallError] = error_of
    """Return the error of a response with a status of 400 or more."""
    refusal: Callable[[str], Refusal] = openai_refusal
    """Return the response by which a call is refused in the provider's stead, with this text."""
    socket: SocketGrammar | None = None
    """None if its WebSockets are not taken apart."""
    array_streams: bool = False
    """A stream may come as one JSON array: whether a reply was one cannot be told from its body."""
    messages: tuple[MessageShape, ...] = ()
    """Forms of its messages. Bodies are told apart by their keys, in the order of the families."""
    prompts: tuple[str, ...] = ()
    """Fields of a body that hold the system prompt."""
    texts: tuple[str, ...] = ()
    """Fields of a body that hold texts which are no messages: what is to be embedded, or ranked."""
    inputs: tuple[str, ...] = ()
    """Fields that hold what a request is about if it is no conversation: a text, or several of which each counts."""
    tools: tuple[tuple[str, ...], ...] = ()
    """Paths, of one or two keys, to the lists of tools that are offered."""
    wrappers: tuple[str, ...] = ()
    """Fields that hold the whole request, from the outermost."""
    choices: tuple[tuple[str, ...], ...] = ()
    """Paths to the number of replies that are wanted."""
    other_repeats: bool = False
    """A call of the operation `other` brings an earlier reply once more, with the usage that was billed then."""
    fields: tuple[str, ...] = ()
    """Further top-level fields to read of a body that is too large to be read in full."""
    parts: Mapping[str, PartReader] = field(default_factory=dict)
    """The readers of parts of messages that are neither text nor media, by the part's `type` or by the key that holds
    it. Families whose messages have the same form share theirs."""
    uncounted: Mapping[str, PartReader] = field(default_factory=dict)
    """The same of parts that do not count in what a message says: reasoning, and tools that the provider ran within the
    reply."""
    noise: frozenset[str] = frozenset()
    """Keys of a part that do not count in what it says: ids, signatures, states."""
    cache_marks: frozenset[str] = frozenset()
    """Keys that mark what the provider's cache keeps. They move with every turn, and say nothing."""
    prompt_noise: tuple[str, ...] = ()
    """Beginnings of texts in a system prompt that are another one in every request."""
