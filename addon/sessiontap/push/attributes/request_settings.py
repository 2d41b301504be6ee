"""The settings of a request that conventions have a word for, from its body: limits, temperatures, stop words.

Each stands under one of several names, by wire family. A value of another type than the setting's is none. Bodies are
decoded for these keys alone, so that a long history costs little.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from sessiontap.push.target import PushedCall


class RequestSettings(NamedTuple):
    """The settings of one request."""

    known: Mapping[str, Any]
    """By the names of `SETTINGS`."""
    sent: Mapping[str, Any]
    """The same as they were sent, under the request's own names."""


class RequestSetting(NamedTuple):
    """A setting, and the paths at which families have it."""

    kind: type
    paths: tuple[str, ...]


SETTINGS: Mapping[str, RequestSetting] = {
    "max_tokens": RequestSetting(
        int,
        (
            "max_tokens", "max_completion_tokens", "max_output_tokens", "max_tokens_to_sample",
            "generationConfig.maxOutputTokens", "generation_config.max_output_tokens", "inferenceConfig.maxTokens",
            "options.num_predict",
        ),
    ),
    "temperature": RequestSetting(
        float,
        (
            "temperature", "generationConfig.temperature", "generation_config.temperature",
            "inferenceConfig.temperature", "options.temperature",
        ),
    ),
    "top_p": RequestSetting(
        float,
        (
            "top_p", "p", "generationConfig.topP", "generation_config.top_p", "inferenceConfig.topP", "options.top_p",
        ),
    ),
    "top_k": RequestSetting(int, ("top_k", "k", "generationConfig.topK", "options.top_k")),
    "seed": RequestSetting(int, ("seed", "generationConfig.seed", "generation_config.seed", "options.seed")),
    "frequency_penalty": RequestSetting(float, ("frequency_penalty", "generationConfig.frequencyPenalty")),
    "presence_penalty": RequestSetting(float, ("presence_penalty", "generationConfig.presencePenalty")),
    "stop_sequences": RequestSetting(
        list,
        (
            "stop", "stop_sequences", "generationConfig.stopSequences", "generation_config.stop_sequences",
            "inferenceConfig.stopSequences", "options.stop",
        ),
    ),
    "choice_count": RequestSetting(int, ("n", "generationConfig.candidateCount")),
    "reasoning_level": RequestSetting(
        str,
        (
            "reasoning_effort", "reasoning.effort", "generationConfig.thinkingConfig.thinkingLevel",
            "generation_config.thinking_level",
        ),
    ),
    "previous_response": RequestSetting(str, ("previous_response_id", "previous_interaction_id")),
    "dimensions": RequestSetting(int, ("dimensions", "output_dimension", "outputDimensionality")),
}  # fmt: skip
"""Name -> type and paths. Sources: the providers' references of these requests (OpenAI chat and responses, Anthropic
messages, Gemini `GenerationConfig`, Bedrock `InferenceConfiguration`, Ollama `options`, Cohere)."""

_WRAPPER = "request"
"""Gemini CLI with a Google login has the request within another."""
_NOT_SENT = frozenset(("previous_response",))
"""Settings that are no parameter of the model's."""


_PATHS = tuple(
    (name, setting.kind, tuple(path.split("."))) for name, setting in SETTINGS.items() for path in setting.paths
)
_KEYS = sorted({_WRAPPER, *(path[0] for _, _, path in _PATHS)})
_BODY = msgspec.json.Decoder(msgspec.defstruct("Body", [(key, Any, None) for key in _KEYS]))
"""The keys of a body that are read, each of any type."""


def request_settings(call: PushedCall) -> RequestSettings:
    """Return the settings of a call's request; none if its body is not at hand, or no JSON object."""
    data = call.call.request_body.data
    if not data or call.call.is_websocket:
        return RequestSettings({}, {})
    try:
        body = msgspec.structs.asdict(_BODY.decode(data))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return RequestSettings({}, {})
    if isinstance(inner := body.get(_WRAPPER), dict):
        body = inner
    known: dict[str, Any] = {}
    sent: dict[str, Any] = {}
    for name, kind, path in _PATHS:
        found: Any = body
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        if found is None or (value := _value(found, kind)) is None:
            continue
        known.setdefault(name, value)
        if name not in _NOT_SENT:
            sent.setdefault(path[-1], value)
    return RequestSettings(known, sent)


def _value(value: Any, kind: type) -> Any:
    if value is None or isinstance(value, bool):
        return None
    if kind is float and isinstance(value, int | float):
        return float(value)
    if kind is list:
        texts = [value] if isinstance(value, str) else value
        return texts if isinstance(texts, list) and texts and all(isinstance(one, str) for one in texts) else None
    if isinstance(value, int):
        return value if kind is int and -(2**63) <= value < 2**63 else None
    return value if isinstance(value, kind) else None
