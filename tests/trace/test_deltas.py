"""A conversation's bodies through writer and reader: small on disk, byte for byte back in any order."""

import json
import os

import pytest
from tests.trace.conftest import call_map

from sessiontap import trace
from sessiontap.trace import BodyError, frame
from sessiontap.trace.body import Plain
from sessiontap.trace.maintenance import verify
from sessiontap.trace.pack import AS_IT_IS
from sessiontap.trace.walk import walk


def bodies(turns: int) -> list[bytes]:
    """Requests of an agent that sends its history again with every turn."""
    messages = [{"role": "user", "content": os.urandom(300).hex()} for _ in range(turns)]
    return [json.dumps({"model": "m", "messages": messages[: turn + 1]}).encode() for turn in range(turns)]


def turn(number: int, data: bytes, **more):
    return call_map(number, session={"id": "s", "path": "/", "step": number}, host="h", route="/chat",
                    request={"method": "POST", "body": Plain(data)}, **more)  # fmt: skip


def reply(number: int) -> bytes:
    answer = {"id": os.urandom(8).hex(), "object": "chat.completion", "created": number, "model": "gpt-4o-2024-08-06"}
    usage = {"prompt_tokens": number, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 0}}
    message = {"role": "assistant", "content": os.urandom(30).hex(), "refusal": None}
    message["annotations"] = [{"type": "url_citation", "url": f"https://example.com/{n}"} for n in range(50)]
    return json.dumps(answer | {"choices": [{"index": 0, "message": message}], "usage": usage}).encode()


@pytest.fixture
def conversation(written):
    """Thirty turns, in the log."""
    sent = bodies(30)
    written(*[turn(number, data) for number, data in enumerate(sent)])
    return sent


def encodings(folder):
    return [call.record["request"]["body"]["enc"] for call in trace.open(folder).calls(newest_first=False)]


def test_a_conversation_is_stored_as_what_each_turn_adds(conversation, folder):
    (segment,) = folder.iterdir()

    small = sum(len(body) <= AS_IT_IS for body in conversation)
    assert encodings(folder) == ["raw"] * small + ["zstd"] + ["zstd-delta"] * (29 - small)
    assert small < 5
    assert segment.stat().st_size < sum(map(len, conversation)) / 8


@pytest.mark.parametrize("newest_first", [True, False], ids=["newest first", "oldest first"])
def test_every_body_comes_back(conversation, folder, newest_first):
    read = [call.request_body() for call in trace.open(folder).calls(newest_first)]

    assert read == (conversation[::-1] if newest_first else conversation)


@pytest.mark.parametrize("number", [0, 13, 29])
def test_one_body_alone(conversation, folder, number):
    assert trace.open(folder).call(f"0190a000-{number:04x}").request_body() == conversation[number]


def test_replies_share_their_form(written, folder):
    replies = [reply(number) for number in range(20)]
    written(*[turn(number, b"{}", response={"body": Plain(data)}) for number, data in enumerate(replies)])

    stored = list(trace.open(folder).calls())

    assert [call.response_body() for call in stored] == replies[::-1]
    sizes = [len(call.record["response"]["body"]["data"]) for call in stored]
    assert sum(sizes[:-1]) / 19 < sizes[-1] / 2


def test_no_segment_is_a_delta_of_another(writers, folder):
    writer = writers(rotate_bytes=3000)
    sent = bodies(12)
    for number, data in enumerate(sent):
        writer.submit(lambda number=number, data=data: [turn(number, data)], 1)
    writer.close(5)
    segments = sorted(folder.iterdir())
    assert len(segments) > 2

    for segment in segments[:-1]:
        segment.unlink()

    assert [call.request_body() for call in trace.open(folder).calls()] == sent[::-1][: len(encodings(folder))]


def test_a_damaged_base_is_said_and_costs_only_its_deltas(conversation, folder):
    (segment,) = folder.iterdir()
    data = bytearray(segment.read_bytes())
    with segment.open("rb") as file:
        calls = [one for one in frame.scan(file) if frame.decode(one.payload)["type"] == "call"]
    data[calls[10].offset + 30] ^= 1
    segment.write_bytes(data)

    oldest_first = list(trace.open(folder).calls(newest_first=False))

    assert [call.request_body() for call in oldest_first[:10]] == conversation[:10]
    assert len(oldest_first) == 29
    for call in oldest_first[10:]:
        with pytest.raises(BodyError, match=r"is a delta of that of call 0190a000-000a-.*, which cannot be read"):
            call.request_body()


def test_a_segment_is_searched_once_however_many_deltas_of_what_is_damaged(conversation, folder, monkeypatch):
    (segment,) = folder.iterdir()
    data = bytearray(segment.read_bytes())
    with segment.open("rb") as file:
        calls = [one for one in frame.scan(file) if frame.decode(one.payload)["type"] == "call"]
    data[calls[10].offset + 30] ^= 1
    segment.write_bytes(data)
    searches = []

    def counted(*given):
        searches.append(given)
        return walk(*given)

    monkeypatch.setattr("sessiontap.trace.body.walk", counted)

    found = verify(folder)

    assert len([one for one in found.problems if "is a delta of" in one.text]) == 19
    assert len(searches) == 1


def test_a_base_is_found_by_its_id_where_it_was_moved(conversation, folder):
    """Another tool may have put a record in between; `back` is only where to look first."""
    (segment,) = folder.iterdir()
    with segment.open("rb") as file:
        records = [frame.decode(one.payload) for one in frame.scan(file)]
    records.insert(5, {"type": "note", "time": 1, "text": "in between"})
    segment.write_bytes(b"".join(map(frame.encode, records)))

    assert [call.request_body() for call in trace.open(folder).calls()] == conversation[::-1]


def test_a_record_that_was_never_written_is_no_base(writers, folder, monkeypatch):
    """The write of the third turn fails; the fourth is a delta of what is there."""
    writer = writers(retry_seconds=0)
    sent = bodies(5)
    real, calls = os.write, 0

    def write(file, data):
        nonlocal calls
        calls += data.startswith(frame.MARK)
        if calls == 3:
            raise OSError(28, "No space left on device")
        return real(file, data)

    monkeypatch.setattr("sessiontap.trace.rotation.os.write", write)
    for number, data in enumerate(sent):
        writer.submit(lambda number=number, data=data: [turn(number, data)], 1)
    writer.close(5)

    read = {int(call.id[9:13], 16): call.request_body() for call in trace.open(folder).calls()}
    assert read == {number: data for number, data in enumerate(sent) if number != 2}
