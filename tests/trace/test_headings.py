"""Titles and last replies of sessions in the index: which calls are read for them, and when again."""

import pytest
from tests.trace.conftest import call_map

from sessiontap import trace
from sessiontap.trace import body

SESSION = {"id": "s", "name": "Demo", "path": "/", "step": 0}


def call(number, asked=None, answered=None, **changes):
    """A call of which the request says `asked`, the reply `answered`."""
    sides = {
        side: ({"method": "POST", "url": "https://x/"} if side == "request" else {"status": 200})
        | {"body": None if said is None else body.Plain(said.encode())}
        for side, said in (("request", asked), ("response", answered))
    }
    changes = {"session": SESSION, "llm": {"operation": "chat"}, **changes}
    return call_map(number, **sides) | changes


TITLE = {"link": {"kind": "auxiliary"}}
SUBAGENT = {"subagent": "explore"}
FAILED = {"outcome": "http_error"}


class Reader:
    """Reads `title: ...` in a reply as a title that was asked for; all else as it is. Counts what it reads."""

    def __init__(self):
        self.read = 0

    def __call__(self, record, asked, answered):
        self.read += 1
        said = answered.decode() if answered else None
        if said is not None and said.startswith("title: "):
            return said.removeprefix("title: "), None, None
        return None, asked.decode() if asked else None, said


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([call(1, "hello", "hi")], ("hello", "hi")),
        ([call(1, "hello", "hi"), call(2, "more", "there")], ("hello", "there")),
        ([call(1, "make a title", "title: Greeting", **TITLE), call(2, "hello", "hi")], ("Greeting", "hi")),
        ([call(1, "?", "title: Old", **TITLE), call(2, "?", "title: New", **TITLE)], ("New", None)),
        ([call(1, "a summary", "long", **TITLE), call(2, "hello", "hi")], ("hello", "hi")),
        ([call(1, "?", "title: Broken", **TITLE, **FAILED), call(2, "hello", "hi")], ("hello", "hi")),
        ([call(1, "look", "seen", **SUBAGENT), call(2, "hello", "hi"), call(3, "x", "y", **SUBAGENT)], ("hello", "hi")),
        ([call(1, "look", "seen", **SUBAGENT)], ("look", "seen")),
        ([call(1, "hello", "hi"), call(2, "more", "no", **FAILED)], ("hello", "hi")),
        ([call(1, "hello", "hi"), call(2, "more", None)], ("hello", "hi")),
        ([call(1, None, "hi"), call(2, "hello", "again")], ("hello", "again")),
        ([call(1, None, None)], (None, None)),
    ],
    ids=[
        "one call", "the last reply", "a title that was asked for", "the newest title", "beside, but no title",
        "a title that failed", "not a sub-agent's", "a sub-agent alone", "a last call that failed",
        "a reply without a text", "a request without a body", "metadata alone",
    ],
)  # fmt: skip
def test_what_a_session_is_known_by(written, folder, calls, expected):
    written(*calls)
    (row,) = trace.open(folder, headings_of=Reader()).query_sessions()

    assert (row["title"], row["last_reply"]) == expected


def test_without_a_reader_there_are_none(written, folder):
    written(call(1, "hello", "hi"))
    (row,) = trace.open(folder).query_sessions()

    assert (row["title"], row["last_reply"]) == (None, None)


def test_a_session_is_read_once_and_again_when_it_has_grown(written, folder):
    reader = Reader()
    written(call(1, "hello", "hi"))
    log = trace.open(folder, headings_of=reader)
    log.query_sessions()
    read = reader.read
    log.query_sessions()
    assert reader.read == read

    written(call(2, "more", "there"))
    assert log.query_session("s")["session"]["last_reply"] == "there"
    assert reader.read > read


def test_only_the_sessions_that_are_listed_are_read(written, folder):
    reader = Reader()
    written(*(call(number, "hello", "hi", session=SESSION | {"id": f"s{number}"}) for number in range(1, 6)))
    trace.open(folder, headings_of=reader).query_sessions(limit=1)

    assert reader.read == 2  # of one session: the first call, and the last reply


def test_a_long_list_is_read_in_several_goes(written, folder, monkeypatch):
    monkeypatch.setattr("sessiontap.trace.index.headings.MOST", 2)
    written(*(call(number, "hello", "hi", session=SESSION | {"id": f"s{number}"}) for number in range(1, 6)))
    log = trace.open(folder, headings_of=Reader())

    known = [[row["title"] is not None for row in log.query_sessions()] for _ in range(3)]

    assert known == [[True, True, False, False, False], [True, True, True, True, False], [True] * 5]


def test_a_reader_that_fails_costs_that_line_alone(written, folder):
    def fails(record, asked, answered):
        raise ValueError("odd")

    written(call(1, "hello", "hi"))
    (row,) = trace.open(folder, headings_of=fails).query_sessions()

    assert (row["title"], row["last_reply"]) == (None, None)


def test_what_is_gone_from_the_log_is_gone_from_the_index(written, folder):
    written(call(1, "hello", "a secret"))
    log = trace.open(folder, headings_of=Reader())
    log.query_sessions()
    for segment in folder.glob("*.mpk*"):
        segment.unlink()
    written(call(2, "another", "fine"))

    assert [(row["title"], row["last_reply"]) for row in log.query_sessions()] == [("another", "fine")]
