"""An agent that writes a small course: a web search, an outline, three lessons, an index; standard library only.

    ANTHROPIC_API_KEY=... OPENAI_API_KEY=... python course_agent.py "bread baking"
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

URL = "https://api.anthropic.com/v1/messages"
MODEL = "claude-haiku-4-5"
PLANNER = "You plan courses. Look things up first, then write the outline of a course in three parts."
WRITER = "You write one lesson of a course for beginners."
TOOLS = [
    {
        "name": "web_search",
        "description": "Search the web.",
        "input_schema": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    }
]


def ask(body: dict[str, Any]) -> dict[str, Any]:
    """Ask the model once. A streamed reply is put together."""
    request = urllib.request.Request(
        URL,
        json.dumps({"model": MODEL, "max_tokens": 1000, **body}).encode(),
        {
            "content-type": "application/json",
            "anthropic-version": "2023-06-01",
            "x-api-key": os.environ["ANTHROPIC_API_KEY"],
        },
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        if not body.get("stream"):
            whole: dict[str, Any] = json.load(reply)
            return whole
        events = [json.loads(line[5:]) for line in reply if line.startswith(b"data:")]
    words = [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]
    return {"content": [{"type": "text", "text": "".join(words)}]}


def text(reply: dict[str, Any]) -> str:
    return "".join(block["text"] for block in reply["content"] if block["type"] == "text")


def web_search(query: str) -> str:
    """This agent's search engine never disappoints."""
    return f"Everything about {query} was known to our grandmothers already."


def outline(topic: str) -> list[str]:
    """The titles of the course's parts."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"Plan a course about {topic}."}]
    while True:
        reply = ask({"system": PLANNER, "messages": messages, "tools": TOOLS})
        uses = [block for block in reply["content"] if block["type"] == "tool_use"]
        if not uses:
            print(text(reply))
            return [line[3:] for line in text(reply).splitlines() if line[:1].isdigit()]
        results = [
            {"type": "tool_result", "tool_use_id": use["id"], "content": web_search(use["input"]["query"])}
            for use in uses
        ]
        messages += [{"role": "assistant", "content": reply["content"]}, {"role": "user", "content": results}]


def lesson(title: str) -> str:
    question = {"role": "user", "content": f"Write about {title}."}
    return text(ask({"system": WRITER, "messages": [question], "stream": True}))


def index(lessons: list[str]) -> None:
    """A program of its own makes the course searchable."""
    helper = Path(__file__).with_name("embed_lessons.py")
    subprocess.run([sys.executable, str(helper)], input=json.dumps(lessons), text=True, check=True)


def main() -> None:
    topic = " ".join(sys.argv[1:]) or "bread baking"
    titles = outline(topic)
    first = lesson(titles[0])  # sets the tone; the others are written at the same time
    with ThreadPoolExecutor() as pool:
        lessons = [first, *pool.map(lesson, titles[1:])]
    print(f"{len(lessons)} lessons, {sum(len(one.split()) for one in lessons)} words")
    index(lessons)


if __name__ == "__main__":
    main()
