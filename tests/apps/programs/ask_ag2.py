import asyncio

from ag2 import Agent
from ag2.config import OpenAIConfig


async def main() -> None:
    print((await Agent("helper", config=OpenAIConfig(model="gpt-4o")).ask("Why?")).body)


asyncio.run(main())
