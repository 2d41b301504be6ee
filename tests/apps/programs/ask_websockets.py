import asyncio
import json
import os

from websockets.asyncio.client import connect

URL = "wss://api.openai.com/v1/realtime?model=gpt-realtime"
item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Why?"}]}


async def main() -> None:
    headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    async with connect(URL, additional_headers=headers) as socket:
        await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
        await socket.send(json.dumps({"type": "response.create"}))
        async for message in socket:
            if (event := json.loads(message))["type"] == "response.done":
                print(event["response"]["status"])
                break


asyncio.run(main())
