import litellm

messages = [{"role": "user", "content": "Why?"}]
print(litellm.completion(model="openai/gpt-4o", messages=messages).choices[0].message.content)
print(litellm.completion(model="anthropic/claude-haiku-4-5", messages=messages).choices[0].message.content)
