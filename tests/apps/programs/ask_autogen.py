import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient


async def main() -> None:
    agent = AssistantAgent("helper", OpenAIChatCompletionClient(model="gpt-4o"), system_message=None)
    print((await agent.run(task="Why?")).messages[-1].content)


asyncio.run(main())
