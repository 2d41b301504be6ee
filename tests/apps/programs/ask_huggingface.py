from huggingface_hub import InferenceClient

client = InferenceClient()
messages = [{"role": "user", "content": "Why?"}]

reply = client.chat.completions.create(model="mistralai/Mistral-7B-Instruct-v0.3", messages=messages)
print(reply.choices[0].message.content)
