import instructor

client = instructor.from_provider("openai/gpt-4o")
question = 'call Response with {"content": "Because."}'
print(client.chat.completions.create(response_model=str, messages=[{"role": "user", "content": question}]))
