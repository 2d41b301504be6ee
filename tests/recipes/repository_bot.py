"""The runs of docs/recipes/repository-bot: three jobs of a bot, OpenAI in a script's hands, a vector database."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.lab import Lab
from tests.recipes import chat_model
from tests.recipes.recipe import Ended, Recipe
from tests.support.dialogue import Request, Respond

from sessiontap.demo import openai_wire
from sessiontap.demo.redirect import Redirect
from sessiontap.trace import RecordedCall

NAME = "repository-bot"
JOBS = (("generate", "41"), ("document", "src/dates.py"), ("review", "42"))
READS = {"generate": ["src/dates.py"], "review": ["src/dates.py", "issues/41.md"], "document": ["src/dates.py"]}
"""The files that the model wants to read."""
ANSWERS = {
    "generate": 'year, week = text.upper().split("-W")',
    "review": "Lower-case years are no case. Add a test for 2026-w47.",
    "document": "parse_week(text) returns the Monday of a week.",
}
KEYS = {"OPENAI_API_KEY": "sk-test-0000", "GITHUB_ACTOR": "ada"}


async def openai(request: Request, respond: Respond) -> None:
    asked = json.loads(await request.body())
    if request.path.endswith("/embeddings"):
        reply = openai_wire.embeddings({**asked, "dimensions": 64})
        return await respond.whole(reply.status, json.dumps(reply.body).encode(), chat_model.JSON)
    job = asked["messages"][1]["content"].split()[0]
    done = sum(message["role"] == "tool" for message in asked["messages"])
    if done < len(READS[job]):
        return await chat_model.reply(
            respond, asked, None, [chat_model.tool_call(f"call_{job}_{done}", "read_file", path=READS[job][done])]
        )
    return await chat_model.reply(respond, asked, ANSWERS[job])


@dataclass
class Run:
    """The bot has done its jobs through the proxy, and one of them past it."""

    recipe: Recipe
    through: dict[str, Ended]
    past: Ended
    calls: list[RecordedCall]
    trace: Path
    received: list[Request]
    """What came to OpenAI through the proxy."""


def run_bot(lab: Lab, database: int) -> Run:
    """Run the bot with the vector database at this port."""
    provider = lab.upstream(openai, ["api.openai.com", "localhost"])
    lab.redirect(Redirect("localhost", 8000, database))
    recipe = Recipe(NAME, lab)
    proxy = recipe.proxy()
    through = {job: recipe.through([sys.executable, "app.py", job, subject], KEYS) for job, subject in JOBS}
    received = list(provider.requests)
    job, subject = JOBS[-1]
    where = {
        "OPENAI_BASE_URL": f"https://localhost:{provider.port}/v1",
        "CHROMA_URL": f"http://localhost:{database}",
    }
    past = recipe.past([sys.executable, "app.py", job, subject], {**KEYS, **where})
    return Run(recipe, through, past, proxy.stop(), proxy.trace_folder, received)


def paths(run: Run) -> dict[str, list[str]]:
    """The paths of each session's calls, by the session's id, in the order of their steps."""
    found: dict[str, list[str]] = {}
    for call in sorted(run.calls, key=lambda one: one.record["session"]["step"]):
        found.setdefault(call.record["session"]["id"], []).append(call.record["session"]["path"])
    return found
