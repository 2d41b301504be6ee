import os

from openai import OpenAI

client = OpenAI(base_url="https://openrouter.ai/api/v1", api_key=os.environ["OPENROUTER_API_KEY"])
messages = [{"role": "user", "content": "Why?"}]
print(client.chat.completions.create(model="openai/gpt-4o-mini", messages=messages).choices[0].message.content)
