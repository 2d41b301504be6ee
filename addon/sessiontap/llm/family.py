"""The interface of a wire family's module. The modules themselves are the implementations."""

from __future__ import annotations

from typing import Any, Protocol

from sessiontap.exchange import Request, Response
from sessiontap.llm.call import Asked, Call, Reply


class Reader(Protocol):
    """Reads one wire family. Both functions get along with any input and put what was wrong into `problems`."""

    def asked(self, request: Request, body: Any) -> Asked:
        """What the request asks for. `body` is its parsed JSON, None where there is none.

        A model that only the URL names, and problems of the JSON itself, are added by the caller.
        """

    def reply(self, call: Call, response: Response) -> Reply:
        """What came back with a status below 400, whole or streamed, complete or cut; the body is decoded.

        `Reply.stream` is filled in by the caller.
        """
