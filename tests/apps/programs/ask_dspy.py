import dspy

model = dspy.LM("openai/gpt-4o", cache=False)
print(model("Why?")[0])
