import os

from curl_cffi import requests

reply = requests.post(
    "https://api.openai.com/v1/chat/completions",
    headers={"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"},
    json={"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]},
    impersonate="chrome",
)
print(reply.json()["choices"][0]["message"]["content"])
