from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="gpt-4o")
print(model.invoke("Why?").text)
print("".join(chunk.text for chunk in model.stream("Why?")))
