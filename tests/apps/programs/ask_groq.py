from groq import Groq

client = Groq()
messages = [{"role": "user", "content": "Why?"}]

print(client.chat.completions.create(model="llama-3.3-70b-versatile", messages=messages).choices[0].message.content)
stream = client.chat.completions.create(model="llama-3.3-70b-versatile", messages=messages, stream=True)
print("".join(chunk.choices[0].delta.content or "" for chunk in stream))
