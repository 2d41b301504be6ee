"""What is said once, and what is noted each time."""

from __future__ import annotations

from typing import Any

import pytest

from sessiontap.callers import Caller, Found
from sessiontap.proxy import notices as module
from sessiontap.proxy.connections import Connection
from sessiontap.proxy.notices import Notices

CALLER = Caller(id="c", pid=1, started=1, name="bot.py")


class Recorder:
    def __init__(self) -> None:
        self.notes: list[tuple[str, str, dict[str, Any]]] = []

    def note(self, kind: str, text: str, **facts: Any) -> None:
        self.notes.append((kind, text, facts))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def notices(recorder: Recorder) -> Notices:
    made = Notices()
    made.recorder = recorder  # type: ignore[assignment]
    return made


@pytest.mark.parametrize(
    ("found", "who"), [(Found(CALLER), "bot.py"), (Found(reason="gone"), "127.0.0.1")], ids=["known", "not known"]
)
def test_what_passes_uncaptured_is_noted_with_whose_it_was(
    notices: Notices, recorder: Recorder, found: Found, who: str
) -> None:
    notices.not_captured(Connection("c", ("127.0.0.1", 5), found), "api.openai.com", "why not")
    process = found.caller.name if found.caller else None
    facts = {"host": "api.openai.com", "process": process, "client": "127.0.0.1"}
    assert recorder.notes == [("not_captured", "why not", facts)]


def test_a_sentence_is_said_once(notices: Notices, caplog: pytest.LogCaptureFixture) -> None:
    for text in ("one", "two", "one"):
        notices.once(text)
    assert [record.getMessage() for record in caplog.records] == ["sessiontap: one", "sessiontap: two"]


def test_sentences_that_were_said_are_forgotten_in_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MOST_TOLD", 3)
    notices = Notices()
    for number in range(10):
        notices.once(str(number))
    assert len(notices._told) == 3
