"""Python's own http.client, which knows no proxy variables."""

import http.client
import json
import sys

connection = http.client.HTTPSConnection("api.openai.com")
question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
headers = {"authorization": "Bearer sk-test", "content-type": "application/json"}
connection.request("POST", "/v1/chat/completions", json.dumps(question), headers)
print(json.load(connection.getresponse())["choices"][0]["message"]["content"])
sys.exit(7)
