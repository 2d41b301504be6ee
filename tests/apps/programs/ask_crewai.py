from crewai import LLM

print(LLM(model="gpt-4o").call("Why?"))
