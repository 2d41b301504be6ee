import asyncio

from openai import AsyncOpenAI


async def main() -> None:
    async with AsyncOpenAI().realtime.connect(model="gpt-realtime") as connection:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Why?"}]}
        await connection.conversation.item.create(item=item)
        await connection.response.create()
        async for event in connection:
            if event.type == "response.done":
                print(event.response.status)
                break


asyncio.run(main())
