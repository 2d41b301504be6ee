"""Conversations that are declared: an agent's threads, and conversations that the server keeps.

An agent's session holds a main thread and threads of sub-agents. Each thread is a conversation; the main one is the
root of all. A conversation's id follows from the declaration alone, so it needs no memory; which tree it belongs to
and how far it has come does (`DeclaredConversations`).
"""

from __future__ import annotations

from dataclasses import dataclass

from sessiontap.bounded_dict import BoundedDict
from sessiontap.llm.call import Call
from sessiontap.llm.history import History
from sessiontap.sessions.known_calls import KnownCall
from sessiontap.sessions.session import derived_id

MAX_CONVERSATIONS = 10_000


@dataclass(frozen=True, slots=True)
class Declaration:
    """The conversation that a call declares."""

    key: str
    main: str
    """The key of the session's main thread."""
    parent: str | None = None
    """The key of the thread that it works for."""
    subagent: str | None = None
    distinct: bool = True
    """It names one thread. False: it names only a session, which may hold several."""
    on_server: bool = False
    """The server keeps the history, so each call follows the one before it."""
    of_run: bool = False
    """It names a run, which may be part of something larger (`Agent.of_run`)."""

    @property
    def conversation(self) -> str:
        """The conversation's id."""
        return conversation_id(self.key)

    @property
    def root(self) -> str:
        """The main thread's id."""
        return conversation_id(self.main)


def conversation_id(key: str) -> str:
    """Return the id of the conversation that is declared as `key`, or began with it."""
    return derived_id("conversation", key, "")


def declaration_of(call: Call, history: History) -> Declaration | None:
    """Return the most specific conversation that a call declares; None if it declares none."""
    agent = call.agent
    if agent is not None and (agent.session or agent.thread):
        main = f"{agent.name} {agent.session or agent.thread}"
        own = agent.session is not None and agent.thread not in (None, agent.session)
        key = f"{main} {agent.thread}" if own else main
        parent: str | None = None
        if agent.parent_thread is not None and agent.parent_thread != agent.thread:
            parent = main if agent.parent_thread == agent.session else f"{main} {agent.parent_thread}"
        elif agent.subagent is not None and own:
            parent = main
        distinct = agent.thread is not None or agent.of_run
        return Declaration(key, main, parent, agent.subagent, distinct=distinct, of_run=agent.of_run)
    if history.declared is not None:
        key = f"{call.endpoint.provider or '-'} {history.declared}"
        return Declaration(key, key, on_server=True)
    return None


@dataclass(slots=True)
class SeenConversation:
    """A declared conversation of which a call has been seen."""

    conversation: str
    """Its id: its own, or another's if it is a run that continues that one."""
    root: str
    lineage: tuple[str, ...]
    session: str | None = None
    """See `Link.session`."""
    begun: bool = False
    """A call of the conversation itself has been seen, not only auxiliary ones."""
    last: str | None = None
    """Its latest call that has its reply."""


class DeclaredConversations:
    """Declared conversations by their id. The least recently used are forgotten."""

    def __init__(self) -> None:
        self._seen: BoundedDict[str, SeenConversation] = BoundedDict(MAX_CONVERSATIONS)

    def get(self, id: str) -> SeenConversation | None:
        """Return the conversation with that id, None if no call of it has been seen."""
        return self._seen.peek(id)

    def note(self, call: KnownCall) -> None:
        """Take in a call, or its reply. Root and lineage are those of the conversation's first call."""
        if call.declared is None:
            return
        seen = self._seen.peek(call.declared)
        if seen is None:
            # A sub-agent in a session that does not tell it apart is not what the session declares.
            own = call.of_run or call.conversation == call.declared
            seen = SeenConversation(call.conversation if own else call.declared, call.root, call.lineage if own else ())
            seen.session = call.scope.given_session if call.of_run else None
        seen.begun = seen.begun or call.advances
        if call.state == "done":
            seen.last = call.id
        self._seen.put(call.declared, seen)
