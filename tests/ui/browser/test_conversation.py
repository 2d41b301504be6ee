"""A long conversation that is scrolled through: all of it comes, few elements stay, and nothing that is read moves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from tests.cli import recorded
from tests.ui.browser.conftest import Visitor, visit
from tests.ui.served import Client, served

from sessiontap.cli.options import open_trace
from sessiontap.sessions.session import Link
from sessiontap.ui.reading import Reading

CALLS, TOOLS = 60, 6
SESSION = "talkative"
MOST_ELEMENTS = 2_000
ADDRESS = f"/sessions/{SESSION}/conversation"


def talkative(folder: Path) -> Path:
    """The trace of a session in which each reply calls several tools and each request brings their results."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Make the tests pass."}]
    made = []
    for number in range(CALLS):
        asked = [
            {"id": f"call-{number}-{n}", "type": "function",
             "function": {"name": "read_file", "arguments": json.dumps({"path": f"src/part_{number}_{n}.py"})}}
            for n in range(TOOLS)
        ]  # fmt: skip
        reply = {"content": f"Step {number}: I read some files.", "tool_calls": asked}
        made.append(
            recorded.chat(
                number,
                session=(SESSION, "Talkative", "/", number),
                caller=recorded.NODE,
                messages=list(messages),
                tools=["read_file"],
                reply=reply,
                finish="tool_calls",
                link=Link("main", recorded.call_id(number - 1) if number else None, "exact"),
            )
        )
        messages += [
            {"role": "assistant", **reply},
            *({"role": "tool", "tool_call_id": one["id"], "content": f"content of {one['id']}"} for one in asked),
        ]
    return recorded.write(folder, made)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = talkative(tmp_path_factory.mktemp("talk") / "trace")
    with served(lambda: Reading(open_trace(folder))) as found:
        yield found.let_in()


@pytest.fixture
def visitor(chromium: Browser, talk: Client) -> Iterator[Visitor]:
    found = visit(chromium, talk, viewport={"width": 1200, "height": 800})
    found.open(ADDRESS)
    yield found
    assert found.faults == []
    found.context.close()


def steps(visitor: Visitor) -> list[int]:
    """The steps of the calls that are in the page."""
    texts = visitor.page.locator("#turns > article > header .step").all_inner_texts()
    return [int(text.removeprefix("#")) for text in texts]


def elements(visitor: Visitor) -> int:
    return int(visitor.page.evaluate("document.querySelectorAll('*').length"))


def scroll_to(visitor: Visitor, step: int, *, end: bool) -> int:
    """Scroll to one end of what is loaded until the call of this step is there. Return the most elements on the way."""
    most = 0
    for _ in range(CALLS):
        known = steps(visitor)
        most = max(most, elements(visitor))
        if step in known:
            return most
        visitor.page.evaluate(f"scrollTo(0, {'document.body.scrollHeight' if end else 0})")
        last = known[-1] if end else known[0]
        expect(visitor.page.locator("#turns")).to_contain_text(f"Step {last + (1 if end else -1)}:")
    raise AssertionError(f"step {step} does not come: {steps(visitor)}")


def test_all_calls_come_as_they_are_scrolled_to_and_few_elements_stay(visitor: Visitor) -> None:
    most = scroll_to(visitor, CALLS - 1, end=True)
    found = steps(visitor)
    assert (found[0] > 0, found) == (True, list(range(found[0], CALLS)))
    most = max(most, scroll_to(visitor, 0, end=False))
    found = steps(visitor)
    assert (found[0], found) == (0, list(range(found[-1] + 1)))
    assert most < MOST_ELEMENTS


def test_the_call_that_is_read_stays_where_it_is_while_others_go(visitor: Visitor) -> None:
    scroll_to(visitor, 25, end=True)
    read = visitor.page.locator(f"[id='{recorded.call_id(25)}']")
    read.evaluate("(one) => scrollTo(0, scrollY + one.getBoundingClientRect().top - 300)")
    before = read.evaluate("(one) => one.getBoundingClientRect().top")
    first = steps(visitor)[0]
    visitor.page.locator(".pager a[rel=next]").evaluate("(link) => link.click()")
    expect(visitor.page.locator(f"[id='{recorded.call_id(first)}']")).to_have_count(0)
    after = read.evaluate("(one) => one.getBoundingClientRect().top")
    assert abs(after - before) < 2


def test_the_address_names_the_call_that_is_read(visitor: Visitor) -> None:
    visitor.page.locator(f"[id='{recorded.call_id(3)}']").evaluate("(one) => one.scrollIntoView()")
    visitor.page.wait_for_url(re.compile(r"at="))
    named = visitor.page.url.rpartition("at=")[2]
    visitor.page.reload()
    assert steps(visitor)[0] == int(named.rpartition("-")[2], 16) == 3


def test_a_whole_prompt_is_fetched_when_it_is_unfolded(visitor: Visitor) -> None:
    fold = visitor.page.locator(f"[id='{recorded.call_id(2)}'] details.prompt")
    assert fold.locator("#request-parts, .part").count() == 0
    fold.locator("summary").click()
    expect(fold).to_contain_text("Make the tests pass.")


def test_without_scripts_the_next_calls_are_a_link_away(chromium: Browser, talk: Client) -> None:
    found = visit(chromium, talk, java_script_enabled=False)
    found.open(ADDRESS)
    before = steps(found)
    found.page.locator(".pager a[rel=next]").click()
    assert steps(found)[0] == before[-1] + 1
    found.context.close()
