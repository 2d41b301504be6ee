"""An agent with a tool and another agent for a tool, on the OpenAI Agents SDK. It knows nothing of Sessiontap."""

from __future__ import annotations

from agents import Agent, Runner, function_tool, set_tracing_disabled


@function_tool
def lookup(key: str) -> str:
    """Look something up."""
    return f"{key} is 7"


set_tracing_disabled(True)
helper = Agent(name="helper", instructions="You help.", model="gpt-4o-mini")
tools = [lookup, helper.as_tool("ask_helper", "Ask the helper.")]
main = Agent(name="main", instructions="You answer.", model="gpt-4o", tools=tools)
task = 'call lookup with {"key": "bees"} and call ask_helper with {"input": "Why is the water in the sea wet?"}'
print(Runner.run_sync(main, task).final_output)
