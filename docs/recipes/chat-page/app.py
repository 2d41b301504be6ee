"""A page to chat with a model: python app.py, then open the printed address.

Each browser tab is a conversation. The page sends what its user writes; the history is kept here.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.error
import urllib.request
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

API = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
MODEL = "gpt-4o-mini"
PAGE = Path(__file__).with_name("page.html")
SYSTEM = {"role": "system", "content": "You are the help of an online shop. Answer in one sentence."}

histories: dict[str, list[dict[str, str]]] = defaultdict(lambda: [SYSTEM])


def answer(asked: dict[str, str]) -> str:
    """The model's answer to the newest message of a conversation."""
    history = histories[asked["conversation"]]
    history.append({"role": "user", "content": asked["text"]})
    body = {
        "model": MODEL,
        "messages": history,
        "store": True,
        "user": asked["user"],
        "metadata": {"plan": asked["plan"], "locale": asked["locale"]},
    }
    headers = {"content-type": "application/json", "authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    request = urllib.request.Request(f"{API}/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as reply:
        whole: Any = json.load(reply)
    text = str(whole["choices"][0]["message"]["content"])
    history.append({"role": "assistant", "content": text})
    return text


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.reply(200, "text/html; charset=utf-8", PAGE.read_bytes())

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            self.reply(200, "application/json", json.dumps({"text": answer(asked)}).encode())
        except urllib.error.URLError as error:
            self.reply(502, "application/json", json.dumps({"error": str(error)}).encode())

    def reply(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Handler)
    signal.signal(signal.SIGTERM, lambda number, frame: threading.Thread(target=server.shutdown).start())
    print(f"chat at http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
    print(f"{len(histories)} conversations")


if __name__ == "__main__":
    main()
