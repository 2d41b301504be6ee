"""The list of wire families, and the tables that reading, routing, histories and comparisons take from it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from sessiontap.llm.family import Family, SocketGrammar
from sessiontap.llm.message_pieces import MessagePiece, TextPiece
from sessiontap.llm.messages import ContentReader, MessageShape, PartReader, quiet
from sessiontap.llm.pick import dicts, dig

MODULES = (
    "anthropic_messages",
    "gemini",
    "gemini_grpc",
    "gemini_interactions",
    "openai_chat",
    "openai_responses",
    "bedrock_converse",
    "cohere",
    "bedrock_invoke",
    "mistral_conversations",
    "ollama",
    "openai_completions",
    "openai_embeddings",
    "xai_grpc",
    "realtime",
    "other",
)
"""The module of each family. The order decides: of the routes and of the message shapes the first that fits wins."""

FAMILIES: tuple[Family, ...] = tuple(import_module(f"sessiontap.llm.{module}").FAMILY for module in MODULES)
BY_NAME: dict[str, Family] = {family.name: family for family in FAMILIES}

MESSAGE_SHAPES: tuple[MessageShape, ...] = tuple(
    dict.fromkeys(shape for family in FAMILIES for shape in family.messages),
)
PROMPTS: tuple[str, ...] = tuple(dict.fromkeys(key for family in FAMILIES for key in family.prompts))
TEXTS: tuple[str, ...] = tuple(dict.fromkeys(key for family in FAMILIES for key in family.texts))
TOOLS: tuple[tuple[str, ...], ...] = tuple(dict.fromkeys(path for family in FAMILIES for path in family.tools))
WRAPPERS: tuple[str, ...] = tuple(dict.fromkeys(key for family in FAMILIES for key in family.wrappers))
CHOICES: tuple[tuple[str, ...], ...] = tuple(dict.fromkeys(path for family in FAMILIES for path in family.choices))
FIELDS: tuple[str, ...] = tuple(dict.fromkeys(key for family in FAMILIES for key in family.fields))
MESSAGES: tuple[str, ...] = tuple(dict.fromkeys(key for shape in MESSAGE_SHAPES for key in shape.keys))
"""Fields of a body that hold messages, in any family."""
SAID = frozenset((*MESSAGES, *PROMPTS, "stream", "model"))
"""Fields of a body that hold what was said; all others are settings."""
CACHE_MARKS: frozenset[str] = frozenset().union(*(family.cache_marks for family in FAMILIES))
PROMPT_NOISE: tuple[str, ...] = tuple(begins for family in FAMILIES for begins in family.prompt_noise)
NOISE: frozenset[str] = CACHE_MARKS.union(*(family.noise for family in FAMILIES))
PARTS: dict[str, PartReader] = {
    kind: read for family in reversed(FAMILIES) for kind, read in (*family.parts.items(), *family.uncounted.items())
}
"""Readers of all parts. If two families have a part of one name, the first one's reader counts."""
CONTENT = ContentReader(
    {
        kind: read
        for family in reversed(FAMILIES)
        for kind, read in (
            *family.parts.items(), *((kind, quiet(uncounted)) for kind, uncounted in family.uncounted.items())
        )
    },
    NOISE,
)  # fmt: skip
"""Reads the content of messages of all families, for comparing what they say."""


def family_of(name: str) -> Family:
    """Return the family of that name; `other` for a name that a newer version may have recorded."""
    return BY_NAME.get(name) or BY_NAME["other"]


def socket_of(name: str) -> SocketGrammar | None:
    """Return the grammar of a family's WebSockets, or None."""
    family = BY_NAME.get(name)
    return family.socket if family else None


def shape_of(body: dict[str, Any]) -> MessageShape | None:
    """Return the form of the messages in a body."""
    return next((shape for shape in MESSAGE_SHAPES if shape.fits(body)), None)


def messages_of(body: dict[str, Any]) -> Iterator[tuple[str, list[MessagePiece]]]:
    """Yield (role, pieces) of each message or item of a body, in order."""
    return read_messages(body, CONTENT)


def read_messages(body: dict[str, Any], reader: ContentReader) -> Iterator[tuple[str, list[MessagePiece]]]:
    """The same by another reader of their content."""
    shape = shape_of(body)
    return shape.read(body, reader) if shape else iter(())


def prompts_of(body: dict[str, Any]) -> Iterator[str]:
    """Yield the system prompts that stand outside the messages, without what changes with every request."""
    for piece in prompt_pieces(body, CONTENT):
        if isinstance(piece, TextPiece):
            yield piece.text


def prompt_pieces(body: dict[str, Any], reader: ContentReader) -> Iterator[MessagePiece]:
    """Yield the pieces of those prompts."""
    for key in PROMPTS:
        if (content := body.get(key)) is None:
            continue
        if isinstance(content, dict) and isinstance(content.get("parts"), list):
            content = content["parts"]
        for piece in reader.pieces(content):
            if not (isinstance(piece, TextPiece) and piece.text.startswith(PROMPT_NOISE)):
                yield piece


def definitions_in(tools: Any) -> list[dict[str, Any]]:
    """Definitions of tools, each by itself: Gemini groups them, others wrap them."""
    found: list[dict[str, Any]] = []
    for tool in dicts({"tools": tools}, "tools"):
        grouped = next((tool[key] for key in ("functionDeclarations", "function_declarations") if key in tool), None)
        if isinstance(grouped, list):
            found += dicts({"tools": grouped}, "tools")
        else:
            found.append(next((tool[key] for key in ("function", "toolSpec") if isinstance(tool.get(key), dict)), tool))
    return found


def tool_lists(body: dict[str, Any]) -> Iterator[Any]:
    """Yield the lists of tools that a body offers."""
    for path in TOOLS:
        if (tools := dig(body, *path)) is not None:
            yield tools
