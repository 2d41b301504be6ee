from llama_index.llms.openai import OpenAI

print(OpenAI(model="gpt-4o").complete("Why?"))
