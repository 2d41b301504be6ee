"""Says how many messages of a WebSocket are held at a time, by mitmproxy and by the addon, once the socket ends."""

import json
import sys

from mitmproxy import http

from sessiontap.proxy import entry

(tap,) = entry.addons()

most = {"mitmproxy": 0, "turns": 0, "lines": 0}


def websocket_message(flow: http.HTTPFlow) -> None:
    assert flow.websocket is not None
    socket = tap.sockets[flow.id]
    turns = [*socket.turns.waiting, *socket.turns.open.values()]
    held = [socket.turns.client_lines, socket.turns.server_lines]
    held += [lines for turn in turns for lines in (turn.request, turn.reply)]
    now = {
        "mitmproxy": len(flow.websocket.messages),
        "turns": len(turns) + len(socket._under_way),
        "lines": sum(lines.frames for lines in held),
    }
    most.update({key: max(value, most[key]) for key, value in now.items()})


def websocket_end(flow: http.HTTPFlow) -> None:
    sys.stdout.write(f"HELD {json.dumps(most)}\n")  # at once: the addon's lines come from another thread
    sys.stdout.flush()
