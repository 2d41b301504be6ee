import json
import os
from urllib.request import Request, urlopen

question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}", "Content-Type": "application/json"}
request = Request("https://api.openai.com/v1/chat/completions", json.dumps(question).encode(), headers)
with urlopen(request) as reply:
    print(json.load(reply)["choices"][0]["message"]["content"])
