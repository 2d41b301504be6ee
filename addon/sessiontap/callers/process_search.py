"""Look-ups that share one walk over the processes.

Thirty programs that start at once connect at once, and each connection needs the long search. A search for each would
read the same thousands of descriptors thirty times. Here one walk answers all that wait: it sees every socket of every
process, and gives out those that are asked for.

It is driven from the proxy's loop, a few milliseconds at a time (`step`), and not by a thread: beside a busy loop a
thread waits up to 5 ms for the interpreter's lock after each of its thousands of system calls.

A walk that began after a connection was accepted is bound to come by its holder. One that had begun before may have
passed the holder already, so what joins a walk under way stays for the next one if this one does not find it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sessiontap.callers import procfs, scan
from sessiontap.callers.caller import Found
from sessiontap.callers.procfs import ProcessFolder
from sessiontap.callers.scan import Held, Scan, Walk
from sessiontap.callers.socket_owner import Owner


@dataclass(frozen=True, slots=True, eq=False)
class LookUp:
    """A connection whose process is looked for. The arguments are those of `sessiontap.callers.find`."""

    client: tuple[str, int]
    proxy: tuple[str, int]
    env_names: frozenset[str]


class LookUpResult(NamedTuple):
    """`found` is None if only `find`, on a thread, can tell: it may have to wait for another machine."""

    question: LookUp
    found: Found | None


class _Waiting(NamedTuple):
    question: LookUp
    owner: Owner


class SocketFinder(Protocol):
    """The questions about a socket that need no walk. `linux.LinuxFinder` answers them."""

    def owner(self, client: tuple[str, int], proxy: tuple[str, int]) -> Owner | Found:
        """Return the socket's owner, or the answer if there is none. Raises OSError if only a table would tell."""
        ...

    def described(self, folder: ProcessFolder, owner: Owner, env_names: frozenset[str]) -> Found | None:
        """Return the holder with all that is known of it, None if it has ended. Closes the folder."""
        ...

    def without(self, client: tuple[str, int], proxy: tuple[str, int], owner: Owner, why: str) -> Found:
        """Return the answer after a walk that did not find the holder."""
        ...


class Search:
    """Questions and the walk that answers them. For one thread alone; nothing raises."""

    def __init__(self, finder: SocketFinder, processes: Scan) -> None:
        self._finder = finder
        self._scan = processes
        self._answers: list[LookUpResult] = []
        self._waiting: dict[int, list[_Waiting]] = {}
        """By the inode of the socket: what this walk looks for from its start."""
        self._joined: dict[int, list[_Waiting]] = {}
        """The same for those that joined under way."""
        self._walk: Walk | None = None
        self._steps: Iterator[Held | None] = iter(())
        self._passed: dict[int, Held] = {}
        """The sockets that this walk has come by."""
        self._spent = 0.0
        """Seconds of this thread's own time."""

    @property
    def pending(self) -> bool:
        """True if `step` has something to do."""
        return bool(self._answers or self._waiting or self._joined)

    def ask(self, client: tuple[str, int], proxy: tuple[str, int], env_names: frozenset[str]) -> LookUp:
        """Take up a question. A later `step` answers it."""
        question = LookUp(client, proxy, env_names)
        try:
            owner = self._finder.owner(client, proxy)
        except OSError:  # no sock_diag here
            self._answers.append(LookUpResult(question, None))
            return question
        if isinstance(owner, Found):
            self._answers.append(LookUpResult(question, owner))
            return question
        waiting = _Waiting(question, owner)
        passed = self._passed.get(owner.inode)
        if passed is not None and self._answer(waiting, passed):
            return question
        self._joined.setdefault(owner.inode, []).append(waiting)
        return question

    def step(self, seconds: float) -> list[LookUpResult]:
        """Search for about this long; the answers that are there by then."""
        began = time.thread_time()
        try:
            self._search(began, seconds)
        except Exception as error:
            logging.getLogger(__name__).debug("a caller search failed", exc_info=True)
            self._give_up(f"look-up failed: {type(error).__name__}: {error}")
            self._end()
        self._spent += time.thread_time() - began
        answers, self._answers = self._answers, []
        return answers

    def _search(self, began: float, seconds: float) -> None:
        while self._waiting or self._joined:
            if not self._waiting:
                self._begin()
            for count, held in enumerate(self._steps, start=1):
                if held is not None:
                    self._came_by(held)
                    if not self._waiting and not self._joined:
                        self._end()
                        return
                if count % 16 == 0 and (spent := time.thread_time() - began) > seconds:
                    if self._spent + spent > scan.SEARCH:
                        self._give_up("not found in time")
                        self._end()
                    return
            denied = self._walk is not None and self._walk.denied
            self._give_up("not permitted" if denied else "not visible")
            self._end()

    def _begin(self) -> None:
        """A new walk, for all that wait. Raises OSError if /proc cannot be read."""
        self._waiting, self._joined = self._joined, {}
        self._passed = {}
        self._spent = 0.0
        self._walk = self._scan.walk()
        self._steps = iter(self._walk)

    def _end(self) -> None:
        self._walk, self._steps, self._passed = None, iter(()), {}

    def _came_by(self, held: Held) -> None:
        self._passed[held.inode] = held
        for wanted in (self._waiting, self._joined):
            asked = wanted.get(held.inode)
            if asked is None:
                continue
            left = [waiting for waiting in asked if not self._answer(waiting, held)]
            if left:
                wanted[held.inode] = left
            else:
                del wanted[held.inode]

    def _answer(self, waiting: _Waiting, held: Held) -> bool:
        """Return True if the process that was seen with the socket still holds it: the question is answered."""
        folder = self._scan.holder(held)
        if folder is None:
            return False
        question, owner = waiting
        if not procfs.knows_user(owner.uid):  # a directory service may be slow to name one
            folder.close()
            self._answers.append(LookUpResult(question, None))
            return True
        found = self._finder.described(folder, owner, question.env_names)
        self._answers.append(LookUpResult(question, found or Found(uid=owner.uid, reason="gone")))
        return True

    def _give_up(self, why: str) -> None:
        """LookUpResult those for whom this whole walk was made; the others stay for the next one."""
        waiting, self._waiting = self._waiting, {}
        for asked in waiting.values():
            for question, owner in asked:
                found = self._finder.without(question.client, question.proxy, owner, why)
                self._answers.append(LookUpResult(question, found))
