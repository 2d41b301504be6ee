"""Pages of a session with many tools, servers and files: few elements, and the share of the window."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.recorded import COURSE, NODE, chat, write
from tests.support.call_spec import CallSpec
from tests.ui.served import Client, served
from tests.ui.test_hostile import Elements

from sessiontap.cli.call_costs import Costs
from sessiontap.cli.options import open_trace
from sessiontap.ui.reading import Reading

CALLS, MOST = 120, 2_000
TOOLS = [f"mcp__server{n % 9}__tool{n}" for n in range(90)]


def said(calls: int) -> Iterator[dict[str, Any]]:
    """The history behind so many calls of tools, each about a file of its own."""
    yield {"role": "system", "content": "You plan courses."}
    yield {"role": "user", "content": "Plan a course."}
    for number in range(calls):
        called = {"name": TOOLS[number % 30], "arguments": json.dumps({"path": f"/src/file{number}.py"})}
        call = {"id": f"call_{number}", "type": "function", "function": called}
        yield {"role": "assistant", "content": f"I look at {number}.", "tool_calls": [call]}
        yield {"role": "tool", "tool_call_id": f"call_{number}", "content": f"line {number}\n" * 20}


def request(number: int, size: int) -> CallSpec:
    """A call with so many input tokens."""
    return chat(
        number, session=(COURSE, "Rich", "/", number), caller=NODE, messages=list(said(number)), tools=TOOLS,
        usage=(size, 20),
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    made = [request(number, 1_000 + 1_000 * number) for number in range(CALLS)]
    folder = write(tmp_path_factory.mktemp("rich") / "trace", made)
    with served(lambda: Reading(open_trace(folder), terms_of_call=Costs().terms)) as found:
        yield found.let_in()


def test_the_context_page_has_few_elements_and_says_how_full_the_window_is(site: Client) -> None:
    path = f"/sessions/{COURSE}/context"
    while not (found := site.get(f"{path}.json").json())["complete"]:
        pass
    full = found["turns"][-1]
    assert (full["input_tokens"], full["window_tokens"], full["window_share"]) == (120_000, 128_000, 0.9375)
    page = site.get(path).text
    assert len(Elements(page).found) < MOST
    assert "120,000 tokens, 94% of the window of 128k" in page
    assert '<path class="limit"' in page


def test_the_conversation_says_of_each_call_how_full_the_window_is(site: Client) -> None:
    path = f"/sessions/{COURSE}/conversation"
    call = site.get(f"{path}.json?at=63&limit=1").json()["calls"][0]
    assert (call["window_tokens"], call["window_share"]) == (128_000, 0.5)
    assert "50% of the window" in site.get(f"{path}?at=63").text


def test_a_window_that_a_call_elsewhere_exceeds_is_not_known(tmp_path: Path) -> None:
    folder = write(tmp_path / "trace", [request(0, 1_000), request(1, 130_000)])
    with served(lambda: Reading(open_trace(folder), terms_of_call=Costs().terms)) as found:
        site = found.let_in()
        page = site.get(f"/sessions/{COURSE}/conversation?at=0&limit=1")
        (first,) = site.get(f"/sessions/{COURSE}/conversation.json?at=0&limit=1").json()["calls"]
    assert (first["window_tokens"], first["window_share"]) == (None, None)
    assert "of the window" not in page.text
