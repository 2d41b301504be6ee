"""Pinecone's index of vectors, as far as it is asked: https://docs.pinecone.io/reference/api/data-plane.

It remembers nothing: a query finds made-up vectors.
"""

from __future__ import annotations

import json
from typing import Any

from sessiontap.demo.provider_replies import BadRequest, WholeReply


def error(status: int, message: str) -> WholeReply:
    """An error in the shape of Pinecone's index."""
    return WholeReply({"code": 3, "message": message, "details": []}, status)


def answer(path: str, body: bytes) -> WholeReply:
    """The reply to a POST. Raises BadRequest."""
    try:
        asked = json.loads(body)
    except ValueError:
        raise BadRequest(error(400, "Invalid JSON payload received.")) from None
    match path:
        case "/vectors/upsert":
            return WholeReply({"upsertedCount": len(asked["vectors"])})
        case "/query":
            return WholeReply(_found(asked))
    raise BadRequest(error(404, "Not Found"))


def _found(asked: dict[str, Any]) -> dict[str, Any]:
    matches = [{"id": f"vec{number}", "score": 1 / number, "values": []} for number in range(1, asked["topK"] + 1)]
    return {"matches": matches, "namespace": asked.get("namespace", ""), "usage": {"readUnits": 1}}
