import os

import httpx

headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
with httpx.Client(http2=True, headers=headers) as client:
    reply = client.post("https://api.openai.com/v1/chat/completions", json=question)
    print(reply.json()["choices"][0]["message"]["content"])
