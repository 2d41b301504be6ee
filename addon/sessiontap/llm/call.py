"""The values that reading a call gives. Unknown is None, never 0 and never a guess."""

from __future__ import annotations

from typing import Any, Literal, get_args

from sessiontap.value_classes import dataclass

Operation = Literal[
    "chat",
    "text_completion",
    "embeddings",
    "rerank",
    "count_tokens",
    "image",
    "audio",
    "moderation",
    "batch",
    "file",
    "realtime",
    "vector_search",
    "other",
]
OPERATIONS: tuple[str, ...] = get_args(Operation)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The facts of a call that its host, method and path alone tell."""

    provider: str | None
    family: str
    """The wire family, by the name in its module: `openai-chat`."""
    operation: Operation
    route: str
    """The path pattern, e.g. `/v1/chat/completions`, `/v1beta/models/{model}:generateContent`."""
    model: str | None = None
    """The model if the path names it (percent-decoded)."""


@dataclass(frozen=True, slots=True)
class Agent:
    """The statements of a known agent about itself, from headers and body (docs/agents.md)."""

    name: str
    """claude-code, codex, opencode, gemini-cli, ..."""
    session: str | None = None
    """Its own session id: what the id source `native` yields."""
    thread: str | None = None
    """Its own conversation within the session (agent id, thread id)."""
    parent_thread: str | None = None
    subagent: str | None = None
    """The sub-agent's type or name; None for the main agent."""
    of_run: bool = False
    """Its session is a single run of an agent, which may be a tool of another's run; no one chose its id."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The request, as its family's reader found it."""

    model: str | None = None
    stream: bool | None = None
    """The request asks for a stream."""
    tools_offered: tuple[str, ...] = ()
    runs_tools: bool | None = None
    """Among the tools offered is one that the provider runs itself (Anthropic alone says so); None if the request's
    body is not known."""
    tool_results: tuple[str, ...] = ()
    """Names of the tools whose results stand after the last assistant message, in order, each once."""
    message: str | None = None
    """Text of the newest user message."""
    prompt: str | None = None
    """Text of the system prompt."""
    user: str | None = None
    previous: tuple[str, ...] = ()
    """Ids of earlier replies that the request names outright: response ids, message ids."""
    answered: tuple[str, ...] = ()
    """Tool-call ids whose results stand after the last assistant message, newest first."""
    problems: tuple[str, ...] = ()
    """The parts that could not be read, in words."""
    results: tuple[tuple[str | None, str | None], ...] = ()
    """The tool results in order as (call id, tool name) if the request itself does not name all of them."""

    def without_texts(self) -> Asked:
        """Return the same without the texts of user and system. Every call comes here, and `replace` takes eight times
        as long."""
        return Asked(
            model=self.model,
            stream=self.stream,
            tools_offered=self.tools_offered,
            runs_tools=self.runs_tools,
            tool_results=self.tool_results,
            user=self.user,
            previous=self.previous,
            answered=self.answered,
            problems=self.problems,
            results=self.results,
        )


@dataclass(frozen=True, slots=True)
class Call:
    """A request, understood: endpoint, client and what is asked."""

    endpoint: Endpoint
    asked: Asked
    agent: Agent | None = None
    retry: int | None = None
    """`x-stainless-retry-count` if stated."""
    json: Any = None
    """The parsed request body, None if there is none or it is no JSON."""
    partial: bool = False
    """The body was too large to be read in full, or a frame of a socket's turn could not be read: what `json` lacks may
    be there all the same."""
    misread: bool = False
    """A fault of ours ended the reading: what `asked` lacks may be there all the same."""
    inferred: str | None = None
    """The sub-agent's type or name as its conversation tells it if the client does not."""

    def without_texts(self) -> Call:
        """Return the same without the request's body and texts."""
        return Call(
            endpoint=self.endpoint,
            asked=self.asked.without_texts(),
            agent=self.agent,
            retry=self.retry,
            partial=self.partial,
            misread=self.misread,
            inferred=self.inferred,
        )

    @property
    def subagent(self) -> str | None:
        """The sub-agent's type or name; None for the main agent."""
        return self.inferred or (self.agent.subagent if self.agent else None)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `input` includes cached ones, `output` includes reasoning, whatever the provider's own way."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True, slots=True)
class Billed:
    """The counts of a bill beside plain tokens, as far as they are stated (`usage.billed_of`)."""

    input: int | None = None
    """Tokens of the bill if they are others than those of `Usage`."""
    output: int | None = None
    cache_write_1h: int | None = None
    """The part of `Usage.cache_write` that is kept for an hour."""
    audio_input: int | None = None
    """A part of `Usage.input`, cached ones included. So is `image_input`."""
    audio_cache_read: int | None = None
    """A part of `Usage.cache_read`."""
    audio_output: int | None = None
    image_input: int | None = None
    image_output: int | None = None
    web_searches: int | None = None
    speed: str | None = None
    """None for the standard one."""
    tools: tuple[str, ...] = ()
    """Tools that the provider ran for a fee of their own, and steps that the usage leaves out."""
    subscription: bool | None = None
    """The call came with a login that is paid by the month, not with a key."""

    def stated(self) -> dict[str, Any]:
        """Its fields that are known; empty if all of them come to nothing."""
        known = {name: value for name in self.__slots__ if (value := getattr(self, name)) not in (None, ())}
        return known if any(known.values()) else {}


@dataclass(frozen=True, slots=True)
class CallError:
    """The provider's own error, of a status >= 400 or inside a 200."""

    type: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the app is asked to run; `arguments` is the JSON text as sent."""

    name: str
    id: str | None = None
    arguments: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, understood, whole or as far as it came."""

    stream: bool | None = None
    response_model: str | None = None
    response_id: str | None = None
    text: str | None = None
    reasoning: str | None = None
    """As far as it is shown: often a summary, or nothing."""
    tool_calls: tuple[ToolCall, ...] = ()
    builtin_tool_calls: tuple[str, ...] = ()
    """Tools that the provider ran itself."""
    finish_reason: str | None = None
    usage: Usage | None = None
    cost_reported: float | None = None
    """US dollars, as the provider stated them."""
    billed: Billed | None = None
    service_tier: str | None = None
    error: CallError | None = None
    first_token: int | None = None
    """Offset in the decoded body just behind the event that brought the first generated content."""
    problems: tuple[str, ...] = ()
