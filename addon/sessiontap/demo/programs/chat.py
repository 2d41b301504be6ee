"""Asks a model two questions: one answered whole, one as a stream.

With the `openai` package if it is installed, else with the standard library.
"""

from __future__ import annotations

import json
import os
import urllib.request
from typing import Any

MODEL = "gpt-4o-mini"
URL = "https://api.openai.com/v1/chat/completions"


def main() -> None:
    first, second = asked("Is it going to be a good day?"), asked("And tomorrow?")
    try:
        from openai import OpenAI
    except ImportError:
        by_standard_library(first, second)
        return
    client = OpenAI()  # key and proxy come from the environment
    whole = client.chat.completions.create(model=MODEL, messages=first)
    print(whole.choices[0].message.content)

    stream = client.chat.completions.create(
        model=MODEL, messages=second, stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()


def asked(question: str) -> list[Any]:
    return [{"role": "system", "content": "You answer in one sentence."}, {"role": "user", "content": question}]


def by_standard_library(first: list[Any], second: list[Any]) -> None:
    with post({"model": MODEL, "messages": first}) as reply:
        print(json.load(reply)["choices"][0]["message"]["content"])

    body = {"model": MODEL, "messages": second, "stream": True, "stream_options": {"include_usage": True}}
    with post(body) as events:
        for line in events:
            if line.startswith(b"data: {"):
                for choice in json.loads(line.removeprefix(b"data: "))["choices"]:
                    print(choice["delta"].get("content") or "", end="", flush=True)
    print()


def post(body: dict[str, Any]) -> Any:
    headers = {"content-type": "application/json", "authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    return urllib.request.urlopen(urllib.request.Request(URL, json.dumps(body).encode(), headers))


if __name__ == "__main__":
    main()
