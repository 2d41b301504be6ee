from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage

print(OpenAIChatGenerator(model="gpt-4o").run(messages=[ChatMessage.from_user("Why?")])["replies"][0].text)
