"""Conversations that somebody declares: a known client's threads, and conversations that the server keeps.

A client's session holds a main thread and threads of sub-agents. Each thread is a conversation; the main one is the
root of all. Its id follows from what was declared alone, so it needs no memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from sessiontap.llm.call import Call
from sessiontap.llm.history import History
from sessiontap.sessions.ids import derived_id


@dataclass(frozen=True, slots=True)
class Thread:
    """A declared conversation."""

    key: str
    main: str
    """The key of the session's main thread."""
    parent: str | None = None
    """The key of the thread that it works for."""
    subagent: str | None = None
    fine: bool = True
    """It is told apart from other threads of its session, not merely a session that may hold several."""
    serial: bool = False
    """The server keeps its history, so its calls follow each other."""
    of_run: bool = False
    """It is a run, which may be part of something larger (`Agent.of_run`)."""

    @property
    def conversation(self) -> str:
        """Its id."""
        return conversation_id(self.key)

    @property
    def root(self) -> str:
        """The main thread's id."""
        return conversation_id(self.main)


def conversation_id(key: str) -> str:
    """A conversation's id, of what it was declared as or began with."""
    return derived_id("conversation", key, "")


def thread_of(call: Call, history: History) -> Thread | None:
    """The most specific conversation that a call declares."""
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
        fine = agent.thread is not None or agent.of_run
        return Thread(key, main, parent, agent.subagent, fine=fine, of_run=agent.of_run)
    if history.declared is not None:
        key = f"{call.endpoint.provider or '-'} {history.declared}"
        return Thread(key, key, serial=True)
    return None
