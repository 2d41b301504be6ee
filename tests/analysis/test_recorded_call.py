"""A recorded request is the app's own again once the changes are undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.cli import recorded

from sessiontap import trace
from sessiontap.analysis import recorded_call
from sessiontap.exchange import Headers

FORWARDED = Headers([("Host", "h"), ("Helicone-Session-Id", "ours"), ("X", "1")])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param([], list(FORWARDED), id="none"),
        pytest.param(
            [["set", "Helicone-Session-Id", None, "ours", "r"]], [("Host", "h"), ("X", "1")], id="added: taken out"
        ),
        pytest.param(
            [["set", "helicone-session-id", "theirs", "ours", "r"]],
            [("Host", "h"), ("helicone-session-id", "theirs"), ("X", "1")],
            id="written over: the old value at its place",
        ),
        pytest.param([["remove", "Y", "2", None, "r"]], [*FORWARDED, ("Y", "2")], id="removed: put back"),
        pytest.param(
            [["keep", "X", "1", None, "r"], ["withhold", "Z", None, "v", "r"], ["route", None, "a", "b", "r"]],
            list(FORWARDED),
            id="what changed no header",
        ),
    ],
)
def test_undone_changes(changes: list[list[Any]], expected: list[tuple[str, str]]) -> None:
    assert list(recorded_call.undo_changes(FORWARDED, changes)) == expected


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> trace.RecordedCall:
    folder: Path = recorded.write(tmp_path_factory.mktemp("stored"), recorded.calls()[:1])
    return trace.open(folder).call("@1")


def test_the_call_is_understood_once_more(call: trace.RecordedCall) -> None:
    understood, reply = recorded_call.read(call)
    seen = recorded.calls()[0]
    assert seen.call is not None
    assert (understood.asked, understood.endpoint.family) == (seen.call.asked, "openai-chat")
    assert reply == seen.reply


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (None, None),
        ("gone", "it closed the connection, or ended, before it was found"),
        ("look-up failed: OSError: x", "look-up failed: OSError: x"),
    ],
    ids=["not said", "a known reason", "a fault's text"],
)
def test_why_a_process_is_not_known(reason: str | None, said: str | None) -> None:
    assert recorded_call.why_unknown(reason) == said
