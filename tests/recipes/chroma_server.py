"""Chroma's REST API as far as a client that searches asks it: https://docs.trychroma.com, version 2.

One collection of a few texts. A search finds them in their order, whatever is looked for.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.dialogue import Request, Respond

COLLECTION = "code"
DOCUMENTS = ("def parse_day(text): return date.fromisoformat(text)", "def week_of(day): return day.isocalendar().week")
_ID = "6f1d5f0c-5d7e-4a55-9a57-2f3c1f0f8a11"
_COLLECTIONS = "/api/v2/tenants/default_tenant/databases/default_database/collections"


async def chroma(request: Request, respond: Respond) -> None:
    asked = await request.body()
    reply: Any
    if (request.method, request.path) == ("GET", f"{_COLLECTIONS}/{COLLECTION}"):
        status, reply = 200, {"id": _ID, "name": COLLECTION, "dimension": 64, "metadata": None}
    elif (request.method, request.path) == ("POST", f"{_COLLECTIONS}/{_ID}/query"):
        number = json.loads(asked)["n_results"]
        ids = [str(at) for at in range(len(DOCUMENTS[:number]))]
        status, reply = 200, {"ids": [ids], "documents": [list(DOCUMENTS[:number])], "distances": [[0.1, 0.2][:number]]}
    else:
        status, reply = 404, {"error": "NotFoundError", "message": f"{request.method} {request.path}"}
    await respond.whole(status, json.dumps(reply).encode(), [("content-type", "application/json")])
