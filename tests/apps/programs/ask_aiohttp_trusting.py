import asyncio
import os

import aiohttp

headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}


async def main() -> None:
    async with (
        aiohttp.ClientSession(headers=headers, trust_env=True) as session,
        session.post("https://api.openai.com/v1/chat/completions", json=question) as reply,
    ):
        print((await reply.json())["choices"][0]["message"]["content"])


asyncio.run(main())
