from smolagents import OpenAIServerModel

model = OpenAIServerModel(model_id="gpt-4o")
print(model.generate([{"role": "user", "content": [{"type": "text", "text": "Why?"}]}]).content)
