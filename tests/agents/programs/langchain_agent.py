"""A model with a tool, streamed, on LangChain. It knows nothing of Sessiontap."""

from __future__ import annotations

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def lookup(key: str) -> str:
    """Look something up."""
    return f"{key} is 7"


model = ChatOpenAI(model="gpt-4o-mini", streaming=True, stream_usage=True).bind_tools([lookup])
messages = [SystemMessage("You answer."), HumanMessage('call lookup with {"key": "bees"}')]
reply = model.invoke(messages)
results = [ToolMessage(lookup.invoke(call["args"]), tool_call_id=call["id"]) for call in reply.tool_calls]
print(model.invoke([*messages, reply, *results]).content)
