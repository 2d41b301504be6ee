"""Ask a model once by the openai package, and print what came of it."""

import json
import sys

from openai import APIStatusError, OpenAI

api, model, stream, says = sys.argv[1:]
client = OpenAI(max_retries=0, timeout=60)
messages = [{"role": "user", "content": says}]
try:
    if api == "responses" and stream == "True":
        events = client.responses.create(model=model, input=says, stream=True)
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    elif api == "responses":
        text = client.responses.create(model=model, input=says).output_text
    elif stream == "True":
        pieces = client.chat.completions.create(model=model, messages=messages, stream=True)
        text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    else:
        text = client.chat.completions.create(model=model, messages=messages).choices[0].message.content
    print(json.dumps({"status": 200, "text": text}))
except APIStatusError as error:
    print(json.dumps({"status": error.status_code, "text": error.response.text}))
