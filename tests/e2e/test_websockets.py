"""WebSockets: every turn on a socket is a call, whatever else passes on it, and all of it passes at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.e2e.lab import PYTHON, SCRIPTS, Lab, Proxy
from tests.support.dialogue import Request, Respond
from tests.support.gate import Gate
from tests.support.llm_server import LlmService
from tests.support.socket_app import SocketApp
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sessiontap.trace import RecordedCall

SESSION = {"name": "Sockets", "id": "process", "path": "/${operation}/${body.metadata.step:-none}"}
RULES: Any = {
    "version": 1,
    "send": ["helicone", "traceforge"],
    "rules": [{"rule": "all", "session": SESSION}],
}
CREATE = {"type": "response.create", "model": "gpt-4o"}


def connect(proxy: Proxy, path: str = "/v1/responses", **options: Any) -> SocketApp:
    headers = {"Authorization": "Bearer any", "User-Agent": "socket-app/1"}
    url = f"wss://api.openai.com{path}"
    return SocketApp(url, proxy=proxy.url, ca=proxy.ca, additional_headers=headers, **options)


def receive(socket: SocketApp) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(socket.receive())
    return event


def ask(
    socket: SocketApp, frame: dict[str, Any], ends: tuple[str, ...] = ("response.completed", "error")
) -> list[dict[str, Any]]:
    """Send a frame; the events up to the one that ends its turn."""
    socket.send(json.dumps(frame))
    events = [receive(socket)]
    while events[-1]["type"] not in ends:
        events.append(receive(socket))
    return events


def lines(body: bytes | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (body or b"").splitlines()]


def written(proxy: Proxy, number: int) -> list[RecordedCall]:
    """The calls, once there are so many and the proxy has ended; one that ends earlier decides by what it knows."""
    proxy.wait_calls(number)
    return proxy.stop()


def step(call: RecordedCall) -> Any:
    return call.record["session"]["step"]


@pytest.fixture
def served(lab: Lab) -> Proxy:
    """A proxy before the local LLM server."""
    lab.upstream(LlmService(websockets=True))
    return lab.proxy(RULES)


@pytest.mark.parametrize("compression", ["deflate", None], ids=["compressed", "plain"])
def test_two_turns_are_two_calls(lab: Lab, compression: str | None) -> None:
    server = lab.upstream(LlmService(websockets=True))
    proxy = lab.proxy(RULES)
    with connect(proxy, compression=compression) as socket:
        first = ask(socket, CREATE | {"input": "Why is the sky blue?", "metadata": {"step": "ask"}})
        before = first[-1]["response"]["id"]
        again = CREATE | {"input": "And at night?", "previous_response_id": before, "metadata": {"step": "again"}}
        second = ask(socket, again)
        told = server.requests[0].headers
        trace_id = socket.reply_headers["X-TraceForge-Trace-ID"]
    calls = written(proxy, 2)
    assert [(step(call), call.record["session"]["path"]) for call in calls] == [(0, "/chat/ask"), (1, "/chat/again")]
    assert [lines(call.response_body()) for call in calls] == [first, second]
    assert lines(calls[1].request_body()) == [again]
    for call, events in zip(calls, (first, second), strict=True):
        record, llm, usage = call.record, call.record["llm"], events[-1]["response"]["usage"]
        assert (record["outcome"], record["response"]["status"], record["flags"]) == ("ok", 101, ["websocket"])
        assert (llm["family"], llm["operation"], llm["stream"]) == ("openai-responses", "chat", True)
        assert (llm["request_model"], llm["response_model"]) == ("gpt-4o", "gpt-4o")
        assert (llm["usage"]["input"], llm["usage"]["output"]) == (usage["input_tokens"], usage["output_tokens"])
        assert 0 < record["time_to_first_byte"] <= record["time_to_first_token"] < record["duration"]
    assert calls[0].record["time"] + calls[0].record["duration"] < calls[1].record["time"]
    assert (calls[0].record["parent"], calls[1].record["parent"]) == (None, calls[0].id)
    assert calls[1].record["evidence"] == "exact"
    # The upgrade said what was known by then, and is the first turn.
    assert told.get("helicone-session-path") == "/chat/none"
    assert told.get("helicone-session-id") == calls[0].session_id == calls[1].session_id
    assert told.get("x-traceforge-step-index") == "0"
    assert trace_id == calls[0].id
    assert ["set", "X-TraceForge-Step-Index"] in [change[:2] for change in calls[1].record["changes"]]


def test_a_warm_up_is_marked_and_takes_no_step(served: Proxy) -> None:
    with connect(served) as socket:
        warm = ask(socket, CREATE | {"generate": False, "instructions": "Be brief."})
        before = warm[-1]["response"]["id"]
        ask(socket, CREATE | {"input": "Why?", "previous_response_id": before})
    warm_up, call = everything(served)
    assert warm_up.record["flags"] == ["websocket", "warm_up"]
    assert (step(warm_up), step(call)) == (None, 0)
    assert call.record["parent"] is None  # a warm-up is listed nowhere, so nothing hangs on it
    assert warm_up.session_id == call.session_id
    assert lines(warm_up.response_body()) == warm
    assert warm_up.record["llm"]["usage"]["output"] == 0
    assert [counted.id for counted in served.trace.calls()] == [call.id]
    (note,) = served.notes("websocket")
    assert (note["turns"], note["warm_ups"], note["code"], note["left_out"]) == (1, 1, 1000, 0)


def everything(proxy: Proxy) -> list[RecordedCall]:
    """Every call in the log, those that do not count as calls among them."""
    proxy.wait_calls(1)
    proxy.process.stop()
    return list(proxy.trace.calls(newest_first=False, warm_ups=True))


def test_a_turn_that_the_server_refuses(served: Proxy) -> None:
    with connect(served) as socket:
        ask(socket, CREATE | {"input": "Why?", "previous_response_id": "resp_unknown"})
        ask(socket, CREATE | {"input": "Why?"})
    refused, answered = written(served, 2)
    assert (refused.record["outcome"], answered.record["outcome"]) == ("stream_error", "ok")
    assert refused.record["llm"]["error"]["message"] == "No response 'resp_unknown'."
    assert (step(refused), step(answered)) == (0, 1)


def test_realtime_in_text(served: Proxy) -> None:
    def item(**fields: Any) -> dict[str, Any]:
        return {"type": "conversation.item.create", "item": fields}

    tool = {"type": "function", "name": "look_up"}
    with connect(served, "/v1/realtime?model=gpt-realtime") as socket:
        assert receive(socket)["type"] == "session.created"
        settings = {"type": "session.update", "session": {"instructions": "Be brief.", "tools": [tool]}}
        ask(socket, settings, ("session.updated",))
        asked = "call look_up with {\"word\": \"sky\"}"
        question = item(type="message", role="user", content=[{"type": "input_text", "text": asked}])
        ask(socket, question, ("conversation.item.added",))
        first = ask(socket, {"type": "response.create"}, ("response.done",))
        wish = first[-1]["response"]["output"][0]
        result = item(type="function_call_output", call_id=wish["call_id"], output="blue")
        ask(socket, result, ("conversation.item.added",))
        second = ask(socket, {"type": "response.create"}, ("response.done",))
    calls = written(served, 2)
    assert [step(call) for call in calls] == [0, 1]
    llm = [call.record["llm"] for call in calls]
    assert [one["family"] for one in llm] == ["realtime", "realtime"]
    assert [one["request_model"] for one in llm] == ["gpt-realtime", "gpt-realtime"]
    assert [one["tools_offered"] for one in llm] == [["look_up"], ["look_up"]]
    assert [one["tool_calls"] for one in llm] == [["look_up"], []]
    assert [one["tool_results"] for one in llm] == [[], ["look_up"]]
    assert [one["finish_reason"] for one in llm] == ["completed", "completed"]
    for one, events in zip(llm, (first, second), strict=True):
        assert one["usage"]["output"] == events[-1]["response"]["usage"]["output_tokens"]
    assert [frame["type"] for frame in lines(calls[0].request_body())] == [
        "session.update",
        "conversation.item.create",
        "response.create",
    ]
    assert lines(calls[1].request_body())[1:] == [result, {"type": "response.create"}]
    assert lines(calls[1].response_body())[-len(second) :] == second
    assert (calls[1].record["parent"], calls[1].record["evidence"]) == (calls[0].id, "exact")
    assert calls[0].record["evidence"] == "declared"
    assert calls[0].record["conversation"] == calls[1].record["conversation"] is not None


class Script:
    """Answers one turn an event at a time, each when the test lets it; then does what `ending` says."""

    def __init__(self, ending: str = "wait", events: int = 3) -> None:
        self.ending = ending
        self.gates = [Gate() for _ in range(events)]
        self.last = Gate()

    async def __call__(self, request: Request, respond: Respond) -> None:
        socket = await respond.websocket()
        messages = aiter(socket)
        await anext(messages)
        for number, gate in enumerate(self.gates):
            await gate.passed()
            await socket.send(event(number))
        await self.last.passed()
        match self.ending:
            case "reset":
                await respond.reset()
            case "close":
                await socket.close(1011, "out of breath")
            case "wait":
                async for _ in messages:
                    pass


def event(number: int) -> str:
    if number == 0:
        return json.dumps({"type": "response.created", "response": {"id": "resp_1", "model": "gpt-4o"}})
    return json.dumps({"type": "response.output_text.delta", "item_id": "m", "delta": f"word {number} ", "n": number})


def test_every_frame_arrives_before_the_next_is_sent(lab: Lab) -> None:
    script = Script(events=5)
    lab.upstream(script)
    proxy = lab.proxy(RULES)
    asked = '{ "type": "response.create",\r\n "model": "gpt-4o", "input": "\\u00fc"}'
    with connect(proxy) as socket:
        socket.send(asked)
        for number, gate in enumerate(script.gates):
            gate.open()
            assert socket.receive() == event(number)
        script.last.open()
    (call,) = proxy.stop()
    assert (call.request_body() or b"").decode() == asked.replace("\r\n", "  ") + "\n"
    assert (call.response_body() or b"").decode().splitlines() == [event(number) for number in range(5)]


@pytest.mark.parametrize(
    ("ending", "leave", "outcome", "code"),
    [
        ("wait", SocketApp.hang_up, "client_gone", 1006),
        ("wait", SocketApp.close, "client_gone", 1000),
        ("reset", None, "upstream_gone", 1006),
        ("close", None, "upstream_gone", 1011),
    ],
    ids=["the client hangs up", "the client closes", "the upstream resets", "the upstream closes"],
)
def test_a_cut_in_mid_turn_leaves_what_came(
    lab: Lab, ending: str, leave: Callable[[SocketApp], None] | None, outcome: str, code: int
) -> None:
    script = Script(ending)
    lab.upstream(script)
    proxy = lab.proxy(RULES)
    with connect(proxy) as socket:
        socket.send(json.dumps(CREATE | {"input": "Why?"}))
        for gate in script.gates:
            gate.open()
            socket.receive()
        script.last.open()
        if leave is not None:
            leave(socket)
        else:
            with pytest.raises(ConnectionClosed):
                socket.receive()
    (call,) = proxy.wait_calls(1)
    assert call.record["outcome"] == outcome
    assert (call.response_body() or b"").decode().splitlines() == [event(number) for number in range(3)]
    assert call.record["llm"]["usage"] is None
    (note,) = proxy.wait_notes("websocket")
    assert note["code"] == code


def test_a_proxy_that_stops_writes_what_is_under_way(lab: Lab) -> None:
    script = Script()
    lab.upstream(script)
    proxy = lab.proxy(RULES)
    with connect(proxy) as socket:
        socket.send(json.dumps(CREATE | {"input": "Why?"}))
        for gate in script.gates:
            gate.open()
            socket.receive()
        (call,) = proxy.stop()
        script.last.open()
    assert call.record["outcome"] == "websocket_closed"
    assert (call.response_body() or b"").decode().splitlines() == [event(number) for number in range(3)]


def test_a_long_socket_holds_one_turn_at_a_time(lab: Lab) -> None:
    lab.upstream(LlmService(websockets=True))
    proxy = lab.proxy(RULES, scripts=[SCRIPTS / "message_lists.py"])
    turns, longest = 300, 0
    with connect(proxy) as socket:
        for number in range(turns):
            longest = max(longest, len(ask(socket, CREATE | {"input": f"Question {number}?"})))
    held = json.loads(proxy.process.wait_line(lambda line: "HELD" in line).partition("HELD")[2])
    assert held["mitmproxy"] == 1
    assert held["turns"] <= 3  # a turn under way, and those that still wait for their plan
    assert held["lines"] <= longest + 1
    calls = proxy.stop()
    assert [step(call) for call in calls] == list(range(turns))
    assert all(call.record["outcome"] == "ok" for call in calls)


def test_a_socket_without_turns_is_one_call_with_what_passed(lab: Lab) -> None:
    async def echo(request: Request, respond: Respond) -> None:
        socket = await respond.websocket()
        async for message in socket:
            await socket.send(message)

    lab.upstream(echo)
    proxy = lab.proxy(RULES)
    with connect(proxy, "/v1/other") as socket:
        for message in ('{"type": "response.create"}', b"\0" * 1000):
            socket.send(message)
            assert socket.receive() == message
    (call,) = proxy.stop()
    record = call.record
    assert (record["outcome"], record["llm"]["family"], step(call)) == ("websocket_closed", "other", 0)
    assert lines(call.request_body()) == [{"type": "response.create"}, {"type": "binary", "bytes": 1000}]
    assert call.request_body() == call.response_body()
    assert record["request"]["body"]["total"] == 27 + 1000
    assert record["flags"] == ["websocket", "media_by_size"]


def test_a_socket_that_is_not_understood_may_be_what_a_rule_keeps_out(lab: Lab) -> None:
    async def echo(request: Request, respond: Respond) -> None:
        async for message in await respond.websocket():
            assert message

    lab.upstream(echo)
    private = {"rule": "private", "match": {"model": "secret"}, "capture": "none"}
    proxy = lab.proxy({**RULES, "rules": [private, *RULES["rules"]]})
    with connect(proxy, "/v1/other") as socket:
        socket.send('{"model": "secret"}')
    assert proxy.stop() == []
    (note,) = proxy.notes("protected")
    assert (note["rule"], note["effect"], note["unknown"]) == ("private", "none", ["model"])


def test_an_upgrade_that_is_refused_is_an_ordinary_call(lab: Lab) -> None:
    lab.upstream(LlmService())
    proxy = lab.proxy(RULES)
    with pytest.raises(InvalidStatus):
        connect(proxy)
    (call,) = proxy.stop()
    assert (call.record["outcome"], call.record["response"]["status"], step(call)) == ("http_error", 426, 0)


def test_a_turn_that_a_rule_ignores_passes_unrecorded(lab: Lab) -> None:
    lab.upstream(LlmService(websockets=True))
    ignore = {"match": {"body": {"metadata.step": "secret"}}, "ignore": True}
    proxy = lab.proxy({**RULES, "rules": [ignore, *RULES["rules"]]})
    with connect(proxy) as socket:
        ask(socket, CREATE | {"input": "Ssh.", "metadata": {"step": "secret"}})
        ask(socket, CREATE | {"input": "Why?", "metadata": {"step": "open"}})
    (call,) = proxy.stop()
    assert call.record["session"]["path"] == "/chat/open"


BY_CONVERSATION: Any = {"version": 1, "rules": [{"session": {"name": "Talk", "id": "conversation"}}]}


def test_sessions_by_what_each_turn_says(lab: Lab) -> None:
    server = lab.upstream(LlmService(websockets=True))
    proxy = lab.proxy(BY_CONVERSATION)
    with connect(proxy) as socket:
        first = ask(socket, CREATE | {"input": "Why is the sky blue?"})
        ask(socket, CREATE | {"input": "And at night?", "previous_response_id": first[-1]["response"]["id"]})
        ask(socket, CREATE | {"input": "What is the sea made of?"})
    calls = written(proxy, 3)
    one, other = calls[0].session_id, calls[2].session_id
    assert [(call.session_id, step(call)) for call in calls] == [(one, 0), (one, 1), (other, 0)]
    assert one != other
    assert server.requests[0].headers.get("helicone-session-id") == one


def test_the_upgrade_is_told_the_conversation_that_begins_with_a_warm_up(lab: Lab) -> None:
    server = lab.upstream(LlmService(websockets=True))
    proxy = lab.proxy(BY_CONVERSATION)
    with connect(proxy) as socket:
        warm = ask(socket, CREATE | {"generate": False, "instructions": "Be brief."})
        ask(socket, CREATE | {"input": "Why?", "previous_response_id": warm[-1]["response"]["id"]})
    warm_up, call = everything(proxy)
    assert warm_up.session_id == call.session_id == server.requests[0].headers.get("helicone-session-id")
    assert (step(call), call.record["link"]["kind"]) == (0, "new")


def test_the_upgrade_is_told_the_conversation_of_a_realtime_socket(lab: Lab) -> None:
    server = lab.upstream(LlmService(websockets=True))
    proxy = lab.proxy(BY_CONVERSATION)
    with connect(proxy, "/v1/realtime?model=gpt-realtime") as socket:
        for _ in range(2):
            ask(socket, {"type": "response.create"}, ends=("response.done",))
    calls = written(proxy, 2)
    told = server.requests[0].headers.get("helicone-session-id")
    assert [(call.session_id, step(call)) for call in calls] == [(told, 0), (told, 1)]


def test_a_turn_of_results_names_their_tools_by_the_reply_that_asked_for_them(lab: Lab) -> None:
    lab.upstream(LlmService(websockets=True))
    found = {"rule": "found", "match": {"tool_result": "find"}, "session": {"path": "/found/${tool_result}"}}
    proxy = lab.proxy({**RULES, "rules": [found, *RULES["rules"]]})
    tools = [{"type": "function", "name": "find", "parameters": {}}]
    with connect(proxy) as socket:
        asked = ask(socket, CREATE | {"input": 'call find with {"what": "bees"}', "tools": tools})
        (called,) = (item for item in asked[-1]["response"]["output"] if item["type"] == "function_call")
        given = [
            {"type": "function_call_output", "call_id": call_id, "output": "7"}
            for call_id in (called["call_id"], "call_nobody1s")
        ]
        ask(socket, CREATE | {"input": given, "previous_response_id": asked[-1]["response"]["id"]})
    calls = written(proxy, 2)
    assert [call.record["llm"]["tool_results"] for call in calls] == [[], ["find", None]]
    assert calls[1].record["session"]["path"] == "/found/find"


def test_a_step_that_the_upgrade_was_given_is_not_lost(lab: Lab) -> None:
    lab.upstream(LlmService(websockets=True))
    session = {"name": "Runs", "id": ["${body.metadata.run}", "process"]}
    proxy = lab.proxy({"version": 1, "rules": [{"session": session}]})
    with connect(proxy) as socket:
        ask(socket, CREATE | {"input": "Why?", "metadata": {"run": "run-0001"}})
        ask(socket, CREATE | {"input": "Why?"})
    calls = written(proxy, 2)
    assert [(call.record["session"]["source"], step(call)) for call in calls] == [("template", 0), ("process", 0)]


APP = """
import asyncio, json
from websockets.asyncio.client import connect

async def main():
    headers = {"Authorization": "Bearer any"}
    async with connect("wss://api.openai.com/v1/responses", additional_headers=headers) as socket:
        await socket.send(json.dumps({"type": "response.create", "model": "gpt-4o", "input": "Why?"}))
        async for message in socket:
            if json.loads(message)["type"] == "response.completed":
                break

asyncio.run(main())
"""


def test_an_unmodified_app_by_its_variables(lab: Lab, served: Proxy) -> None:
    app = lab.folder / "socket_app.py"
    app.write_text(APP)
    served.run([PYTHON, app])
    (call,) = served.stop()
    assert call.caller is not None
    assert "socket_app.py" in call.caller["names"]
    assert call.record["outcome"] == "ok"
