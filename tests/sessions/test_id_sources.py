"""Which evidence decides, source by source."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from sessiontap.callers import Caller, Process
from sessiontap.llm.call import Agent
from sessiontap.rules.decision import Decision, IdSource
from sessiontap.sessions.id_sources import CLIENT_IDLE, ClientConnection, SessionEvidence, session_evidence
from sessiontap.sessions.joined import JoinedSession

CALLER = Caller(id="c-1", pid=10, started=5, name="bot", tree=Process(8, "run.sh", 4, id="t-1"))
AGENT = Agent("claude-code", session="claude-session-1")
LOCAL = ClientConnection("conn-1", "127.0.0.1")

APP = SessionEvidence("app", "app-session", given=True)
NATIVE = SessionEvidence("native", "claude-session-1", given=True)
PROCESS = SessionEvidence("process", "c-1")
TREE = SessionEvidence("process-tree", "t-1")
CONNECTION = SessionEvidence("connection", "connection conn-1")


def evidence(
    *sources: IdSource,
    app_id: str | None = None,
    agent: Agent | None = AGENT,
    caller: Caller | None = CALLER,
    connection: ClientConnection = LOCAL,
    decision: Decision | None = None,
    conversation: str | None = None,
    is_server: bool | None = None,
    joined: JoinedSession | None = None,
) -> SessionEvidence:
    decision = decision or Decision(name="n", id_sources=sources or (IdSource("auto"),))
    return session_evidence(
        decision,
        app_id=app_id,
        agent=agent,
        caller=caller,
        connection=connection,
        conversation=conversation,
        is_server=is_server,
        joined=joined,
    )


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        pytest.param([IdSource("auto")], NATIVE, id="auto is native first"),
        pytest.param([IdSource("native")], NATIVE, id="native"),
        pytest.param([IdSource("process")], PROCESS, id="process"),
        pytest.param([IdSource("process-tree")], TREE, id="process-tree"),
        pytest.param([IdSource("connection")], CONNECTION, id="connection"),
        pytest.param([IdSource("template", "run 7")], SessionEvidence("template", "run 7", given=True), id="template"),
        pytest.param([IdSource("literal", "nightly")], SessionEvidence("literal", "nightly", given=True), id="literal"),
        pytest.param([IdSource("template", None), IdSource("process")], PROCESS, id="a template without its value"),
        pytest.param([IdSource("template", ""), IdSource("process")], PROCESS, id="an empty template"),
        pytest.param([IdSource("template", "  "), IdSource("process")], PROCESS, id="a blank template"),
        pytest.param([IdSource("conversation"), IdSource("process-tree")], TREE, id="a call of no conversation"),
        pytest.param([IdSource("conversation")], CONNECTION, id="a source that yields nothing"),
        pytest.param([], NATIVE, id="no source is auto"),
    ],
)
def test_the_first_source_that_yields_decides(sources: list[IdSource], expected: SessionEvidence) -> None:
    assert evidence(*sources) == expected


@pytest.mark.parametrize(
    ("agent", "caller", "expected"),
    [
        pytest.param(AGENT, CALLER, NATIVE, id="an agent's own"),
        pytest.param(None, CALLER, PROCESS, id="no agent"),
        pytest.param(Agent("aider"), CALLER, PROCESS, id="an agent that sends no session"),
        pytest.param(Agent("x", session="s" * 257), CALLER, PROCESS, id="an id that is too long to be one"),
        pytest.param(Agent("x", session="a\x00b"), CALLER, PROCESS, id="control characters in it"),
        pytest.param(None, None, CONNECTION, id="nobody is known"),
    ],
)
def test_auto(agent: Agent | None, caller: Caller | None, expected: SessionEvidence) -> None:
    assert evidence(agent=agent, caller=caller) == expected


@pytest.mark.parametrize("is_server", [True, False, None])
def test_the_source_conversation_is_the_conversation_whoever_calls(is_server: bool | None) -> None:
    found = evidence(IdSource("conversation"), IdSource("process"), conversation="conv-1", is_server=is_server)
    assert found == SessionEvidence("conversation", "conv-1")


@pytest.mark.parametrize(
    ("agent", "is_server", "conversation", "expected"),
    [
        pytest.param(None, True, "conv-1", SessionEvidence("conversation", "conv-1"), id="a server"),
        pytest.param(None, True, None, PROCESS, id="a server's call of no conversation"),
        pytest.param(None, False, "conv-1", PROCESS, id="no server"),
        pytest.param(None, None, "conv-1", PROCESS, id="not known"),
        pytest.param(AGENT, True, "conv-1", NATIVE, id="an agent's own id comes first"),
    ],
)
def test_auto_of_a_server_is_the_conversation(
    agent: Agent | None, is_server: bool | None, conversation: str | None, expected: SessionEvidence
) -> None:
    assert evidence(agent=agent, is_server=is_server, conversation=conversation) == expected


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        pytest.param(Decision(), APP, id="keep"),
        pytest.param(Decision(existing="replace", set_by={"session.id": "r"}), NATIVE, id="replace by a rule's id"),
        pytest.param(Decision(existing="replace", set_by={"session.name": "r"}), APP, id="a default never replaces"),
        pytest.param(Decision(set_by={"session.id": "r"}), APP, id="keep, whatever the rules say"),
    ],
)
def test_the_apps_own_id_comes_first_unless_a_rule_replaces_it(decision: Decision, expected: SessionEvidence) -> None:
    assert evidence(app_id="app-session", decision=decision) == expected


@pytest.mark.parametrize("app_id", ["", " ", "a\nb", "x" * 257], ids=["empty", "blank", "newline", "too long"])
def test_what_the_app_sent_is_not_always_an_id(app_id: str) -> None:
    assert evidence(app_id=app_id) == NATIVE


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        pytest.param(Process(8, "run.sh", 4), SessionEvidence("process-tree", "8 4"), id="pid and start time"),
        pytest.param(Process(8, "run.sh", None), PROCESS, id="a pid alone is used again"),
        pytest.param(None, PROCESS, id="no tree"),
    ],
)
def test_a_process_tree_is_known_by_its_root(tree: Process | None, expected: SessionEvidence) -> None:
    caller = Caller(id="c-1", pid=10, started=5, name="bot", tree=tree)
    assert evidence(IdSource("process-tree"), IdSource("process"), caller=caller) == expected


def client(ip: str | None = None, proxy_user: str | None = None, local: bool | None = None) -> ClientConnection:
    return ClientConnection("c", ip, proxy_user, local)


@pytest.mark.parametrize(
    ("connection", "value", "idle"),
    [
        pytest.param(client("10.0.0.9", "ci"), "client 10.0.0.9 ci", CLIENT_IDLE, id="remote, with a user"),
        pytest.param(client("127.0.0.1", "ci"), "client 127.0.0.1 ci", CLIENT_IDLE, id="local, with a user"),
        pytest.param(client("10.0.0.9"), "client 10.0.0.9", CLIENT_IDLE, id="remote"),
        pytest.param(client("127.0.0.1"), "connection c", None, id="local, process not found"),
        pytest.param(client("::1"), "connection c", None, id="local, IPv6"),
        pytest.param(client("::ffff:127.0.0.1"), "connection c", None, id="local, mapped"),
        pytest.param(client("10.0.0.1", local=True), "connection c", None, id="local by another address"),
        pytest.param(client("fe80::1%eth0"), "client fe80::1%eth0", CLIENT_IDLE, id="link-local with its zone"),
        pytest.param(client(), "connection c", None, id="no address"),
        pytest.param(client(None, "ci"), "client - ci", CLIENT_IDLE, id="a user, no address"),
    ],
)
def test_without_a_process_the_connection_decides(connection: ClientConnection, value: str, idle: float | None) -> None:
    assert evidence(agent=None, caller=None, connection=connection) == SessionEvidence("connection", value, idle=idle)


def test_the_source_connection_is_the_connection_alone() -> None:
    found = evidence(IdSource("connection"), caller=None, connection=client("10.0.0.9", "ci"))
    assert found == SessionEvidence("connection", "connection c")


JOB, QUESTION, NO_VALUE = IdSource("join", "job-1", 0), IdSource("join", "Why?", 1), IdSource("join", None, 9)
BY_JOB, BY_QUESTION = JoinedSession("key-of-job", 0, 5), JoinedSession("key-of-question", 1, 5)
GOES_ON = SessionEvidence("join", "key-of-job", idle=CLIENT_IDLE, rank=0, key="key-of-job")
REMOTE = ClientConnection("conn-1", "10.1.2.3", "ann")


@pytest.mark.parametrize(
    ("source", "joined", "expected"),
    [
        pytest.param(JOB, None, SessionEvidence("join", "c-1 job-1", idle=CLIENT_IDLE, rank=0), id="its own value"),
        pytest.param(JOB, BY_JOB, SessionEvidence("join", "c-1 job-1", idle=CLIENT_IDLE, rank=0),
                     id="its own value, in a conversation by one of the same template"),
        pytest.param(JOB, BY_QUESTION, SessionEvidence("join", "c-1 job-1", idle=CLIENT_IDLE, rank=0),
                     id="its own value, in a conversation by one of a later template"),
        pytest.param(QUESTION, BY_JOB, GOES_ON, id="a value of a later template than its conversation's"),
        pytest.param(NO_VALUE, BY_JOB, GOES_ON, id="no value, in a conversation"),
        pytest.param(NO_VALUE, None, TREE, id="no value: the sources that the rules list"),
        pytest.param(IdSource("join", "x" * 300), None,
                     SessionEvidence("join", f"c-1 {sha256(b'x' * 300).hexdigest()}", idle=CLIENT_IDLE, rank=0),
                     id="a long value"),
    ],
)  # fmt: skip
def test_a_join_comes_first(source: IdSource, joined: JoinedSession | None, expected: SessionEvidence) -> None:
    assert evidence(source, IdSource("process-tree"), joined=joined) == expected


@pytest.mark.parametrize(
    ("caller", "connection", "value"),
    [
        pytest.param(CALLER, LOCAL, "c-1 job-1", id="its process"),
        pytest.param(CALLER, ClientConnection("conn-1", "127.0.0.1", "ann"), "client 127.0.0.1 ann job-1",
                     id="its proxy user, over all processes"),
        pytest.param(None, REMOTE, "client 10.1.2.3 ann job-1", id="a proxy user on another machine"),
        pytest.param(None, ClientConnection("conn-1", "10.1.2.3"), "client 10.1.2.3 job-1", id="another machine"),
        pytest.param(None, LOCAL, "connection conn-1 job-1", id="nobody knows"),
    ],
)  # fmt: skip
def test_whose_calls_are_joined(caller: Caller | None, connection: ClientConnection, value: str) -> None:
    assert evidence(JOB, caller=caller, connection=connection).value == value


@pytest.mark.parametrize(("existing", "expected"), [("keep", APP), ("replace", "join")])
def test_the_apps_own_id_comes_before_a_join_unless_the_rules_replace_it(existing: Any, expected: Any) -> None:
    decision = Decision(name="n", id_sources=(JOB,), existing=existing, set_by={"session.id": "r", "join": "r"})
    found = evidence(app_id="app-session", decision=decision)
    assert expected in (found, found.source)
