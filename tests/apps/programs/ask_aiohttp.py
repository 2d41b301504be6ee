"""aiohttp as it is by default: it reads no variables (trust_env is False)."""

import asyncio
import sys

import aiohttp

URL = "https://api.openai.com/v1/chat/completions"


async def main() -> None:
    async with aiohttp.ClientSession(headers={"authorization": "Bearer sk-test"}) as session:
        question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
        async with session.post(URL, json=question) as reply:
            print((await reply.json())["choices"][0]["message"]["content"])


asyncio.run(main())
sys.exit(7)
