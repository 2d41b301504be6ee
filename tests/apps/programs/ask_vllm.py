import os

from openai import OpenAI

client = OpenAI(base_url=os.environ["VLLM_URL"], api_key="EMPTY")
messages = [{"role": "user", "content": "Why?"}]
print(client.chat.completions.create(model="llama-3.1-8b", messages=messages).choices[0].message.content)
