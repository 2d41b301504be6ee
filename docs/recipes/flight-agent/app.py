"""A flight agent that talks to a TraceForge server: python app.py LIS OSL [--flexible]

The model acts by a line `ACTION name {arguments}`, and gets `RESULT name: ...` with the next message.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from typing import Any

SERVER = os.environ.get("TRACEFORGE_URL", "http://localhost:8787")
MODEL = "gpt-4o-mini"
SYSTEM = "You book flights. Search, choose and book by ACTION lines; answer with the booking when you are done."


def search_flights(day: str) -> str:
    return "full" if day.endswith(("1", "2")) else "TP 762 at 09:35, 189 EUR; SK 4612 at 18:05, 164 EUR"


def book(flight: str) -> str:
    return f"{flight} is booked, reference {flight.replace(' ', '')}-7Q"


ACTIONS = {"search_flights": search_flights, "book": book}


def ask(messages: list[dict[str, str]]) -> str:
    """The model's reply. What the server says of the session is good to know when somebody asks for help."""
    request = urllib.request.Request(
        f"{SERVER}/v1/chat/completions",
        json.dumps({"model": MODEL, "messages": messages}).encode(),
        {"content-type": "application/json", "authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        told = {
            name.lower(): value for name, value in reply.headers.items() if name.lower().startswith("x-traceforge-")
        }
        print(json.dumps(told), file=sys.stderr)
        body: Any = json.load(reply)
    return str(body["choices"][0]["message"]["content"])


def main() -> None:
    origin, destination, *options = sys.argv[1:]
    dates = "any day" if "--flexible" in options else "1 or 3 March"
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"Fly {origin} to {destination}, {dates}."},
    ]
    while True:
        reply = ask(messages)
        if not reply.startswith("ACTION "):
            print(reply)
            return
        name, _, arguments = reply.removeprefix("ACTION ").partition(" ")
        result = ACTIONS[name](**json.loads(arguments))
        messages += [
            {"role": "assistant", "content": reply},
            {"role": "user", "content": f"RESULT {name}: {result}"},
        ]


if __name__ == "__main__":
    main()
