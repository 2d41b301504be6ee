import os

import primp

client = primp.Client(impersonate="chrome", headers={"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"})
question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
reply = client.post("https://api.openai.com/v1/chat/completions", json=question)
print(reply.json()["choices"][0]["message"]["content"])
