"""What a server is told of a WebSocket that goes on live, and which ids it cannot know."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sessiontap.llm.families import socket_of
from sessiontap.replay.live_socket import CannotGoLive, PassedFrame, given_ids, named_ids, retell

REALTIME, RESPONSES = (socket_of(name) for name in ("realtime", "openai-responses"))
assert REALTIME is not None
assert RESPONSES is not None
Item = dict[str, Any]


def said(kind: str, **more: Any) -> PassedFrame:
    """A frame of the client's."""
    return PassedFrame(True, json.dumps({"type": kind, **more}).encode())


def told(kind: str, **more: Any) -> PassedFrame:
    """A frame of the server's."""
    return PassedFrame(False, json.dumps({"type": kind, **more}).encode())


def user(text: str, **more: str) -> Item:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **more}


def reply(*output: Item, **more: Any) -> PassedFrame:
    return told("response.done", response={"id": "resp_1", "output": list(output), **more})


SPOKEN: Item = {"id": "i2", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "So."}]}
CALL: Item = {"id": "i3", "type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
UPDATE = {"type": "session.update", "session": {}}


def create(item: Item) -> Item:
    return {"type": "conversation.item.create", "item": item}


@pytest.mark.parametrize(
    ("passed", "before", "unanswered"),
    [
        ([], [UPDATE], []),
        (
            [told("session.created", session={"type": "realtime"})],
            [{"type": "session.update", "session": {"type": "realtime"}}],
            [],
        ),
        (
            [
                said("session.update", session={"voice": "a"}), told("session.updated"),
                said("conversation.item.create", item=user("Why?")),
                told("conversation.item.added", item=user("Why?", id="i1")),
                said("response.create"), reply({**SPOKEN, "status": "completed"}, CALL),
            ],
            [
                {"type": "session.update", "session": {"voice": "a"}}, create(user("Why?", id="i1")),
                create(SPOKEN), create(CALL), UPDATE,
            ],
            [],
        ),
        (
            [
                said("conversation.item.create", item=user("Why?", id="own")),
                told("conversation.item.added", item=user("Why?", id="own")),
                said("conversation.item.create", item=user("Where?")),
            ],
            [create(user("Why?", id="own")), UPDATE],
            [create(user("Where?"))],
        ),
        (
            [said("response.create", response={"conversation": "none"}), reply(SPOKEN, conversation_id=None)],
            [UPDATE],
            [],
        ),
        ([said("response.create"), said("response.cancel"), reply()], [UPDATE], []),
    ],
    ids=["nothing", "the kind of the session", "a turn", "not answered yet", "apart", "cancelled"],
)  # fmt: skip
def test_a_realtime_server_is_told_what_the_client_knows(
    passed: list[PassedFrame], before: list[Item], unanswered: list[Item]
) -> None:
    found = retell(passed, REALTIME)
    assert ([json.loads(one) for one in found.before], [json.loads(one) for one in found.unanswered]) == (
        before,
        unanswered,
    )
    assert found.updates == sum(one["type"] == "session.update" for one in before)


@pytest.mark.parametrize(
    "frame",
    [
        said("input_audio_buffer.append", audio="AA=="),
        PassedFrame(True, b"\0\1", is_text=False),
        reply({"id": "i4", "type": "message", "content": [{"type": "output_audio", "transcript": "So."}]}),
        reply({"id": "i5", "type": "mcp_call"}),
    ],
    ids=["audio", "bytes", "a spoken reply", "another item"],
)
def test_what_cannot_be_told_is_refused(frame: PassedFrame) -> None:
    with pytest.raises(CannotGoLive):
        retell([frame], REALTIME)


def test_a_server_of_responses_is_told_nothing() -> None:
    found = retell([said("response.create", input="Why?"), told("response.completed")], RESPONSES)
    assert (found.before, found.unanswered, found.updates) == ((), (), 0)


def test_ids_that_were_told_are_known() -> None:
    passed = [said("conversation.item.create", item=user("Why?")), told("conversation.item.added", item={"id": "i1"})]
    passed.append(reply(SPOKEN))
    assert given_ids(passed, retell(passed, REALTIME)) == {"resp_1"}


@pytest.mark.parametrize(
    ("frame", "ids"),
    [
        ({"type": "response.create", "previous_response_id": "resp_1"}, {"resp_1"}),
        ({"type": "conversation.item.delete", "item_id": "i1"}, {"i1"}),
        ({"type": "conversation.item.create", "previous_item_id": "i1", "item": {"id": "new"}}, {"i1"}),
        ({"input": [{"type": "item_reference", "id": "i1"}]}, {"i1"}),
        ({"input": [{"type": "function_call_output", "call_id": "c1"}]}, {"c1"}),
        ({"input": [{"type": "function_call", "call_id": "c"}, {"type": "custom_output", "call_id": "c"}]}, set()),
        ({"input": "Why?", "metadata": {"user_id": "u1"}}, set()),
    ],
    ids=["a response", "an item", "the item before", "a reference", "a call", "a call that it holds", "none"],
)  # fmt: skip
def test_the_ids_that_a_frame_refers_to(frame: Item, ids: set[str]) -> None:
    assert named_ids(json.dumps(frame).encode()) == ids
