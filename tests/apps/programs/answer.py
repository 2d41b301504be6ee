import sys

from openai import OpenAI

question = sys.stdin.read().strip()
messages = [{"role": "user", "content": question}]
print(OpenAI().chat.completions.create(model="gpt-4o", messages=messages).choices[0].message.content)
