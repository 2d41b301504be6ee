"""Ask a model once by the openai package, and print what came of it."""

import json
import sys

from openai import APIStatusError, OpenAI

model, stream, says = sys.argv[1:]
client = OpenAI(max_retries=0, timeout=60)
messages = [{"role": "user", "content": says}]
try:
    if stream == "True":
        pieces = client.chat.completions.create(model=model, messages=messages, stream=True)
        text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    else:
        text = client.chat.completions.create(model=model, messages=messages).choices[0].message.content
    print(json.dumps({"status": 200, "text": text}))
except APIStatusError as error:
    print(json.dumps({"status": error.status_code, "text": error.response.text}))
