"""urllib3's pool: a proxy is a class of its own there."""

import sys

import urllib3

URL = "https://api.openai.com/v1/chat/completions"

question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
reply = urllib3.PoolManager().request("POST", URL, json=question, headers={"authorization": "Bearer sk-test"})
print(reply.json()["choices"][0]["message"]["content"])
sys.exit(7)
