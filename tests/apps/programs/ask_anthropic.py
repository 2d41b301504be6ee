import asyncio

from anthropic import Anthropic, AsyncAnthropic

question = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": "Why?"}]}
client = Anthropic()

print(client.messages.create(**question).content[0].text)

with client.messages.stream(**question) as stream:
    print("".join(stream.text_stream))


async def main() -> None:
    message = await AsyncAnthropic().messages.create(**question)
    print(message.content[0].text)


asyncio.run(main())
