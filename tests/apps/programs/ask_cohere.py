import cohere

client = cohere.ClientV2()
messages = [{"role": "user", "content": "Why?"}]

print(client.chat(model="command-a-03-2025", messages=messages).message.content[0].text)
stream = client.chat_stream(model="command-a-03-2025", messages=messages)
print("".join(event.delta.message.content.text for event in stream if event.type == "content-delta"))
