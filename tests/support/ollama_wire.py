"""Ollama's chat and generate, whole and as JSON lines: https://github.com/ollama/ollama/blob/main/docs/api.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sessiontap.demo import model
from sessiontap.demo.model import Prompt
from sessiontap.demo.provider_replies import BadRequest, StreamedReply, WholeReply

CREATED = "2026-08-04T19:22:45.499127Z"
DURATIONS = {
    "total_duration": 4883583458,
    "load_duration": 1334875,
    "prompt_eval_duration": 342546000,
    "eval_duration": 4535599000,
}
"""In nanoseconds."""


def error(status: int, message: str) -> WholeReply:
    """An error in Ollama's shape."""
    return WholeReply({"error": message}, status)


def ask(method: str, body: dict[str, Any]) -> WholeReply | StreamedReply:
    """`POST /api/chat` and `POST /api/generate`; both stream unless told not to. Raises BadRequest."""
    if not isinstance(body.get("model"), str):
        raise BadRequest(error(400, "model is required"))
    texts = [message["content"] for message in body["messages"]] if method == "chat" else [body["prompt"]]
    answer = model.answer(Prompt(body["model"], user=texts[-1]))
    if isinstance(answer, model.PromptedError):
        return error(answer.status, f"The prompt asked for status {answer.status}.")
    counts = {"prompt_eval_count": model.count_prompt(texts)[0], "eval_count": answer.tokens}

    def line(text: str, **end: Any) -> dict[str, Any]:
        said = {"message": {"role": "assistant", "content": text}} if method == "chat" else {"response": text}
        return {"model": body["model"], "created_at": CREATED, **said, "done": bool(end), **end}

    end = {"done_reason": "stop", **DURATIONS, **counts}
    if body.get("stream", True):
        lines = [*(line(piece) for piece in model.pieces(answer.text)), line("", **end)]
        return StreamedReply(_json_lines(lines), "application/x-ndjson")
    return WholeReply(line(answer.text, **end))


def _json_lines(values: list[dict[str, Any]]) -> Iterator[bytes]:
    for value in values:
        yield json.dumps(value, separators=(",", ":")).encode() + b"\n"
