from ollama import chat

messages = [{"role": "user", "content": "Why?"}]
print(chat(model="llama3.2", messages=messages).message.content)
print("".join(part.message.content for part in chat(model="llama3.2", messages=messages, stream=True)))
