"""A bot for a repository: it writes code for issues, reviews pull requests, documents modules.

    python app.py generate 41               # the issue issues/41.md
    python app.py review 42                 # the pull request pulls/42.diff
    python app.py document src/dates.py

It looks for similar code in a vector database (Chroma), and lets the model read files.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from openai import OpenAI

MODEL = "gpt-4o-mini"
CHROMA = os.environ.get("CHROMA_URL", "http://localhost:8000")
COLLECTIONS = f"{CHROMA}/api/v2/tenants/default_tenant/databases/default_database/collections"
INSTRUCTIONS = {
    "generate": "You write code. Read the files that you change, and answer with a patch.",
    "review": "You review pull requests. Read the files that they touch, and name what is wrong.",
    "document": "You document APIs. Read the module, and answer with its reference.",
}
READ_FILE = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Read a file of the repository.",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    },
}

client = OpenAI()


def similar_code(text: str) -> list[str]:
    """The pieces of code that are most like `text`; none if the database cannot be asked."""
    (found,) = client.embeddings.create(model="text-embedding-3-small", input=text).data
    try:
        collection = request(f"{COLLECTIONS}/code")["id"]
        near = request(f"{COLLECTIONS}/{collection}/query", {"query_embeddings": [found.embedding], "n_results": 2})
    except urllib.error.URLError as error:
        print(f"no similar code: {error}", file=sys.stderr)
        return []
    return list(near["documents"][0])


def request(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as reply:
        return json.load(reply)


def read_file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        return f"error: {error.strerror}: {path}"


def answer(job: str, task: str) -> str:
    """The model's answer, once it has read what it wants to read."""
    context = "\n\n".join(similar_code(task))
    messages: list[Any] = [
        {"role": "system", "content": INSTRUCTIONS[job]},
        {"role": "user", "content": f"{task}\n\nSimilar code:\n{context}"},
    ]
    while True:
        reply = client.chat.completions.create(model=MODEL, messages=messages, tools=[READ_FILE]).choices[0].message
        if not reply.tool_calls:
            return reply.content or ""
        messages.append(reply.model_dump(exclude_none=True))
        for call in reply.tool_calls:
            content = read_file(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": content})


def main() -> None:
    job, subject = sys.argv[1:]
    files = {"generate": f"issues/{subject}.md", "review": f"pulls/{subject}.diff"}
    print(answer(job, f"{job} {subject}\n{read_file(files.get(job, subject))}"))


if __name__ == "__main__":
    main()
