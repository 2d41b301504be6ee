from openai import AzureOpenAI

client = AzureOpenAI(api_version="2024-10-21")
messages = [{"role": "user", "content": "Why?"}]

print(client.chat.completions.create(model="gpt-4o", messages=messages).choices[0].message.content)
stream = client.chat.completions.create(model="gpt-4o", messages=messages, stream=True)
print("".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices))
