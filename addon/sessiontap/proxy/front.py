"""`sessiontap run --workers N`: the process that accepts connections and hands each to one of N workers.

All connections of a process tree go to one worker, and so do those of a client whose process is not known: steps,
sessions and parents need what that worker remembers. The front reads nothing of a connection, and imports no mitmproxy:
the first worker reads the command line and says where to listen.

    front.py            accept, find the caller, hand the socket over; signals
    assignment.py       which worker serves whom
    worker_process.py   a worker's process, started again if it dies
    channel.py          what front and workers say to each other
    worker.py           the worker's side: a proxy that listens nowhere
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sessiontap.callers import Found, find_known
from sessiontap.proxy import open_files, own_address, state_file
from sessiontap.proxy.assignment import Assignment
from sessiontap.proxy.listening import bind, bind_from, taken
from sessiontap.proxy.look_ups import LookUps
from sessiontap.proxy.shared_counts import FrontCounts
from sessiontap.proxy.worker_process import WorkerProcess

logger = logging.getLogger("sessiontap")

PATIENCE = 1.0
"""Seconds that a connection waits for its caller, to go to the worker of its process tree. It takes milliseconds."""
_NO_FILES_SECONDS = 1.0
"""Before connections are accepted again, if no file could be opened."""
_AT_ONCE = 64
"""Connections that are accepted in one turn of the loop."""


class Front:
    """For the loop alone."""

    def __init__(self, count: int, arguments: Sequence[str]) -> None:
        """`arguments` are mitmdump's."""
        self._workers = [
            WorkerProcess(number, count, arguments, self._take_message, self._died) for number in range(1, count + 1)
        ]
        self._ready: dict[str, Any] = {}
        """The first worker's words about where to listen, and what belongs into the state file."""
        self._token = secrets.token_urlsafe()
        self._listeners: list[dict[str, Any]] = []
        self._sockets: list[list[socket.socket]] = []
        """The listening ones of each mode."""
        self._assignment = Assignment(self._workers)
        self._look_ups = LookUps()
        self._routing: set[asyncio.Task[None]] = set()
        self._questions: dict[int, dict[WorkerProcess, Any]] = {}
        """By number: each worker that was asked, and its answer."""
        self._answered: dict[int, asyncio.Future[None]] = {}
        self._numbers = itertools.count(1)
        self._counts = FrontCounts()
        self._is_ending = False
        self._files_said = False

    async def run(self) -> int:
        """Run until told to end. Returns the exit status."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end)
        loop.add_signal_handler(signal.SIGINT, self._end, True)
        has_terminal = sys.stdin is not None and sys.stdin.isatty()
        loop.add_signal_handler(signal.SIGHUP, *((self._end, True) if has_terminal else (self._reload,)))
        open_files.raise_limit()
        state: Path | None = None
        try:
            # The first makes what all share: the CA, the key, the folder of the log. Then the others.
            for worker in self._workers:
                worker.start()
            if not await self._up(self._workers[:1]):
                return await self._ended()
            if not self._bind():
                self._end()
                await self._ended()
                return 1
            if not await self._up(self._workers[1:]):
                return await self._ended()
            self._listen()
            try:
                values = {**self._ready["values"], "listeners": self._listeners, "token": self._token}
                state = state_file.write(values)
            except OSError as error:
                logger.warning(state_file.not_written(error))
            return await self._ended()
        finally:
            if state is not None:
                state_file.remove(state)

    async def _up(self, workers: Sequence[WorkerProcess]) -> bool:
        """Wait until these workers are up. False: one of them has ended, and said why; or all are told to."""
        for worker in workers:
            worker.begin()
        for worker in workers:
            waiting = [asyncio.ensure_future(event.wait()) for event in (worker.up, worker.over)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for one in waiting:
                one.cancel()
        if any(worker.over.is_set() for worker in workers):
            self._end()
            return False
        return True

    async def _ended(self) -> int:
        """Wait for the end of all workers, and return the first status that is not 0."""
        for worker in self._workers:
            if worker.pid is not None:
                await worker.over.wait()
        return next((one.status if one.status > 0 else 1 for one in self._workers if one.status), 0)

    # -- signals -------------------------------------------------------------------------------------------------------

    def _end(self, at_once: bool = False) -> None:
        """Accept no more connections, and have the workers end when their calls have ended; if told twice, at once."""
        is_first, self._is_ending = not self._is_ending, True
        if is_first:
            for one in itertools.chain(*self._sockets):
                asyncio.get_running_loop().remove_reader(one)
                one.close()
            self._sockets.clear()
        for worker in self._workers:
            worker.end(at_once=at_once)

    def _reload(self) -> None:
        for worker in self._workers:
            worker.signal(signal.SIGHUP)

    # -- connections ---------------------------------------------------------------------------------------------------

    def _bind(self) -> bool:
        """Take the addresses that the first worker says. False: they cannot be had, which is said."""
        for mode in self._ready["modes"]:
            try:
                take = bind if mode["port_is_named"] else bind_from
                self._sockets.append(take(mode["host"], mode["port"]))
            except OSError as error:
                where = f"{mode['host'] or '*'}:{mode['port']}"
                logger.error(f"{mode['description']} failed to listen on {where} with {error}")
                return False
            for one in self._sockets[-1]:
                host, port = one.getsockname()[:2]
                self._listeners.append({"mode": mode["mode"], "host": host, "port": port})
            if mode["port"] not in (0, port):
                logger.warning(taken(mode["port"], port))
        return True

    def _listen(self) -> None:
        """Accept connections, and say so."""
        self._look_ups.warm_up()
        for worker in self._workers:
            worker.send({"kind": "listening", "listeners": self._listeners, "token": self._token})
        for number, (mode, sockets) in enumerate(zip(self._ready["modes"], self._sockets, strict=True)):
            for one in sockets:
                asyncio.get_running_loop().add_reader(one, self._accept, one, number)
            shown = " and ".join(_shown(*one.getsockname()[:2]) for one in sockets)
            logger.info(f"{mode['description']} listening at {shown}, {len(self._workers)} workers.")
        if any(one["host"] in ("0.0.0.0", "::") for one in self._listeners):
            logger.warning(state_file.ON_ALL_INTERFACES)

    def _accept(self, listener: socket.socket, mode: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_AT_ONCE):
            try:
                client, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(listener, mode, error)
                return
            client.setblocking(False)
            task = loop.create_task(self._route(client, address, mode))
            self._routing.add(task)
            task.add_done_callback(self._routing.discard)

    def _pause(self, listener: socket.socket, mode: int, error: OSError) -> None:
        """No file can be opened: try again later, else the loop would turn without an end."""
        loop = asyncio.get_running_loop()
        if not self._files_said:
            self._files_said = True
            logger.warning(f"sessiontap: connections cannot be accepted: {error.strerror}. Raise it with `ulimit -n`")
        loop.remove_reader(listener)

        def again() -> None:
            if not self._is_ending:
                loop.add_reader(listener, self._accept, listener, mode)

        loop.call_later(_NO_FILES_SECONDS, again)

    async def _route(self, client: socket.socket, address: Any, mode: int) -> None:
        """Hand a connection to the worker of its process tree."""
        handed = False
        try:
            key, pid = await self._key((address[0], address[1]), client.getsockname()[:2])
            worker = await self._assignment.worker(key)
            if not self._is_ending:
                handed = True
                worker.take(client, mode, pid)
        except OSError:
            pass  # the client has gone
        finally:
            if not handed:
                client.close()

    async def _key(self, client: tuple[str, int], proxy: tuple[str, int]) -> tuple[str, int | None]:
        """Return what decides the worker, and the process that has opened the connection."""
        found: Found | None = find_known(client, proxy, frozenset())
        if found is None:
            try:
                found = await asyncio.wait_for(self._look_ups.find(client, proxy, frozenset()), PATIENCE)
            except TimeoutError:
                found = None
        caller = found.caller if found is not None else None
        if caller is None:
            return client[0], None
        return (caller.tree.id if caller.tree is not None else None) or caller.id, caller.pid

    # -- workers -------------------------------------------------------------------------------------------------------

    def _take_message(self, worker: WorkerProcess, message: dict[str, Any]) -> None:
        match message["kind"]:
            case "ready":
                if not self._ready:
                    self._ready = message
                    say_as(message["verbosity"])
                worker.send({"kind": "listening", "listeners": self._listeners, "token": self._token})
                worker.up.set()
            case "question":
                task = asyncio.get_running_loop().create_task(self._ask(worker, message["id"], message["target"]))
                self._routing.add(task)
                task.add_done_callback(self._routing.discard)
            case "answer":
                self._take_answer(worker, message["id"], message["answer"])
            case "count":
                if (answer := self._counts.answer(message)) is not None:
                    worker.send(answer)

    def _died(self, worker: WorkerProcess, status: int, delay: float | None) -> None:
        for number in list(self._questions):
            self._take_answer(worker, number, None)
        if delay is None:
            if not self._is_ending:
                self._end()
            return
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        then = "at once" if not delay else f"in {delay:g} s"
        text = f"worker {worker.number} {how}; its connections are cut. It is started again {then}"
        logger.warning(f"sessiontap: {text}")
        living = next((one for one in self._workers if one.up.is_set()), None)
        if living is not None:
            living.send({"kind": "note", "text": text})

    async def _ask(self, asker: WorkerProcess, id: int, target: str) -> None:
        """Ask the other workers what one was asked, and send it their answers; None for one that gives none."""
        number = next(self._numbers)
        others = [one for one in self._workers if one is not asker]
        asked = [one for one in others if one.up.is_set()]
        answers: dict[WorkerProcess, Any] = {}
        self._questions[number] = answers
        self._answered[number] = waiting = asyncio.get_running_loop().create_future()
        question = own_address.asked(target)
        for one in asked:
            one.send({"kind": "question", "id": number, "target": target})
        try:
            async with asyncio.timeout(question.others_within if question is not None else 0):
                while len(answers) < len(asked):
                    await waiting
                    self._answered[number] = waiting = asyncio.get_running_loop().create_future()
        except TimeoutError:
            pass
        finally:
            del self._questions[number], self._answered[number]
        asker.send({"kind": "answers", "id": id, "answers": [answers.get(one) for one in others]})

    def _take_answer(self, worker: WorkerProcess, number: int, answer: Any) -> None:
        if number in self._questions:
            self._questions[number].setdefault(worker, answer)
            if not self._answered[number].done():
                self._answered[number].set_result(None)


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Line(logging.Formatter):
    """mitmproxy's lines on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = f"{time.strftime('%H:%M:%S', time.localtime(record.created))}.{int(record.msecs):03}"
        return f"[{stamp}] {record.getMessage()}"


def say_as(verbosity: str) -> None:
    """Say no more than mitmproxy would at this `termlog_verbosity`."""
    levels = {"error": logging.ERROR, "warn": logging.WARNING, "alert": logging.ERROR, "debug": logging.DEBUG}
    logger.setLevel(levels.get(verbosity, logging.INFO))


def main(count: int, arguments: Sequence[str]) -> int:
    """Run the proxy with `count` workers until it is told to stop; returns the exit status."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Line())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    return asyncio.run(Front(count, arguments).run())
