import asyncio

from openai import AsyncOpenAI, OpenAI

client = OpenAI()
messages = [{"role": "user", "content": "Why?"}]

reply = client.chat.completions.create(model="gpt-4o", messages=messages)
print(reply.choices[0].message.content)

stream = client.chat.completions.create(
    model="gpt-4o", messages=messages, stream=True, stream_options={"include_usage": True}
)
print("".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices))

print(client.responses.create(model="gpt-4.1", input="Why?").output_text)

with client.responses.stream(model="gpt-4.1", input="Why?") as events:
    print(events.get_final_response().output_text)


async def main() -> None:
    reply = await AsyncOpenAI().chat.completions.create(model="gpt-4o-mini", messages=messages)
    print(reply.choices[0].message.content)


asyncio.run(main())
print(len(client.embeddings.create(model="text-embedding-3-small", input="Why?").data[0].embedding))
