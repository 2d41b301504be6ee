"""Says what mitmproxy holds of the flows that it reads, a JSON object a line, in the file `tell_flows_to`."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from mitmproxy import ctx, http
from mitmproxy.addonmanager import Loader


class TellFlows:
    def __init__(self) -> None:
        self.flows: list[http.HTTPFlow] = []

    def load(self, loader: Loader) -> None:
        loader.add_option("tell_flows_to", str, "", "file")

    def request(self, flow: http.HTTPFlow) -> None:
        self.flows.append(flow)

    def done(self) -> None:
        lines = [json.dumps(_told(flow)) + "\n" for flow in self.flows]
        Path(ctx.options.tell_flows_to).write_text("".join(lines), encoding="utf-8")


def _told(flow: http.HTTPFlow) -> dict[str, Any]:
    return {
        "id": flow.id,
        "url": flow.request.url,
        "comment": flow.comment,
        "status": flow.response.status_code if flow.response else None,
        "error": flow.error.msg if flow.error else None,
        "request": _bytes(flow.request),
        "response": _bytes(flow.response),
        "messages": [[one.from_client, one.text] for one in flow.websocket.messages] if flow.websocket else None,
    }


def _bytes(message: http.Message | None) -> str | None:
    content = message.get_content(strict=False) if message else None
    return None if content is None else base64.b64encode(content).decode()


addons = [TellFlows()]
