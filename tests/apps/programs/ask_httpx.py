"""httpx that is told to read no variables. The certificates are Python's own."""

import json
import ssl
import sys

import httpx

URL = "https://api.openai.com/v1/chat/completions"

with httpx.Client(trust_env=False, verify=ssl.create_default_context()) as client:
    question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}], "stream": True}
    question["stream_options"] = {"include_usage": True}
    with client.stream("POST", URL, json=question, headers={"authorization": "Bearer sk-test"}) as reply:
        chunks = [json.loads(line[6:]) for line in reply.iter_lines() if line.startswith("data: {")]
print("".join(one["delta"].get("content") or "" for chunk in chunks for one in chunk["choices"]))
sys.exit(7)
