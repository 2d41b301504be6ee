import io
import json
import os

import pycurl

buffer = io.BytesIO()
curl = pycurl.Curl()
curl.setopt(pycurl.URL, "https://api.openai.com/v1/chat/completions")
curl.setopt(
    pycurl.HTTPHEADER,
    [f"Authorization: Bearer {os.environ['OPENAI_API_KEY']}", "Content-Type: application/json"],
)
curl.setopt(
    pycurl.POSTFIELDS,
    json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}),
)
curl.setopt(pycurl.WRITEDATA, buffer)
curl.perform()
print(json.loads(buffer.getvalue())["choices"][0]["message"]["content"])
