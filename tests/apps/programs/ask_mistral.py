import os

from mistralai.client import Mistral

client = Mistral(api_key=os.environ["MISTRAL_API_KEY"])
messages = [{"role": "user", "content": "Why?"}]

print(client.chat.complete(model="mistral-small-latest", messages=messages).choices[0].message.content)
stream = client.chat.stream(model="mistral-small-latest", messages=messages)
print("".join(event.data.choices[0].delta.content or "" for event in stream))
