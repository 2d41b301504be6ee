from pydantic_ai import Agent

print(Agent("openai-chat:gpt-4o").run_sync("Why?").output)
