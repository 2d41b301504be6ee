"""Ask a model about a file, and then about its own answer: python app.py FILE"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

URL = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/chat/completions"


def ask(messages: list[dict[str, str]]) -> str:
    body = json.dumps({"model": "gpt-4o-mini", "messages": messages}).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    with urllib.request.urlopen(urllib.request.Request(URL, body, headers), timeout=60) as reply:
        whole: Any = json.load(reply)
    return str(whole["choices"][0]["message"]["content"])


def main() -> None:
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    messages = [{"role": "user", "content": f"What does this do?\n\n{text}"}]
    answer = ask(messages)
    messages += [
        {"role": "assistant", "content": answer},
        {"role": "user", "content": "Say it in five words."},
    ]
    print(ask(messages))


if __name__ == "__main__":
    main()
