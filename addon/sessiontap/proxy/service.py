"""What runs behind the hooks: settings, rules, connections, planner, recorder; started, told, and stopped here."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from mitmproxy import ctx
from mitmproxy.addonmanager import Loader

from sessiontap import private
from sessiontap.bounded import BoundedDict
from sessiontap.faults import Faults
from sessiontap.llm.call import Call
from sessiontap.proxy import open_files, state_file
from sessiontap.proxy.complain import complain
from sessiontap.proxy.connections import Connection, Connections, Destinations
from sessiontap.proxy.distrust import CLOSED_OFTEN, EXPIRES, IN_A_ROW, Verdict
from sessiontap.proxy.finish import OVER_BUDGET, Bodies, Heads, finished_call
from sessiontap.proxy.live import LiveCall
from sessiontap.proxy.plan import OnSocket, Plan, Planner, facts_of, history_of, read
from sessiontap.proxy.recorder import CLOSING_SECONDS, Recorder
from sessiontap.proxy.replies import PATIENCE, Replies
from sessiontap.proxy.rules_file import RulesFile
from sessiontap.proxy.settings import (
    MITMPROXY_DEFAULTS,
    OPTIONS,
    Settings,
    SettingsError,
    environment,
    only_prints,
    parse,
    user_set,
)
from sessiontap.recording.budget import Budget, Shares
from sessiontap.recording.finished import Outcome, PlannerUpdate
from sessiontap.redaction import RedactionError
from sessiontap.rules import Decision, Protection, Rules, RulesError, decide
from sessiontap.sessions import Session
from sessiontap.trace.errors import TraceError

logger = logging.getLogger("sessiontap")

RESTORE_SECONDS = 1.0
"""How long a start may read the trace log to go on with its sessions."""
MOST_TOLD = 1_000
"""Sentences that are not said again."""
LIGHT, HEAVY = 1 << 16, 1 << 20
"""Bytes of a request that is always, and of one that is never, read on the loop."""
MANY_PARTS = 5_000
"""Objects in the JSON of one in between."""
PROTECTED = "protected"
"""The flag of a call that is recorded without its content because a rule may match."""
PROTECTED_BY = {
    "ignore": "left alone",
    "none": "not recorded",
    "metadata": "recorded without content",
    "full": "recorded",
}
UNLOADED_AFTER = 1.5
"""Seconds without the addon after which it is gone, not being reloaded."""


class OfSocket(NamedTuple):
    """What a WebSocket says of a turn on it."""

    conversation: str | None
    previous: str | None
    """The reply that it goes on from."""


class Service:
    """One for the life of the process."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        faults.tell = lambda kind, text: self.note("fault", text, where=kind)
        self.connections = Connections()
        self.destinations: Destinations
        self.environ = environment()
        self.planner = Planner(self.environ, faults)
        self.settings: Settings | None = None
        self.budget = Budget(Shares().proxy, Shares().body, Shares().bodies)
        """Of the memory that bodies may take."""
        self.recorder: Recorder | None = None
        self._rules_file: RulesFile | None = None
        self._state: Path | None = None
        self._home: str | None = None
        """What the user must be told of the folder of our own state."""
        self._replies = Replies(self._take_reply)
        self._closed: list[Recorder] = []
        """Recorders of earlier options, or of before a reload, that are writing their last calls."""
        self._open_files: int | None = None
        """How many there may be."""
        self._told: BoundedDict[str, bool] = BoundedDict(MOST_TOLD)
        self._reader = ThreadPoolExecutor(1, "sessiontap-read")

    # -- start and stop ------------------------------------------------------------------------------------------------

    def register(self, loader: Loader) -> None:
        """Give mitmproxy the options."""
        for option in OPTIONS:
            loader.add_option(option.name, str, option.default, option.help)

    def configure(self, updated: set[str]) -> None:
        """Start, or start again with other options. At first, what is wrong ends the proxy with a sentence."""
        if only_prints() or updated.isdisjoint(option.name for option in OPTIONS):
            return
        try:
            self._refuse_unknown_options()
            self._home = prepare_home()
            values = {option.name: getattr(ctx.options, option.name) for option in OPTIONS}
            settings = parse(values, self.environ, Path.cwd())
            if settings != self.settings or self.recorder is None:
                self._start(settings)
        except (SettingsError, RulesError, TraceError, RedactionError) as error:
            if self.settings is None:
                complain(_said(error))
            logger.error(f"sessiontap: the changed options are not in force: {_said(error)}")

    def _refuse_unknown_options(self) -> None:
        unknown = [name for name in ctx.options.deferred if name.startswith("session_")]
        if unknown:
            raise SettingsError(
                f"there is no option {unknown[0]!r}. Its options are: {', '.join(option.name for option in OPTIONS)}"
            )

    def _start(self, settings: Settings) -> None:
        self._replies.begin(asyncio.get_running_loop())
        rules_file = RulesFile(settings.rules, self._rules_changed)
        recorder = Recorder(settings, rules_file.rules, self._replies.read, self.faults)
        if self.recorder is not None:
            self._close_aside(self.recorder)
        self._rules_file, self.recorder, first = rules_file, recorder, self.settings is None
        self.destinations = Destinations(rules_file.rules)
        self.settings = settings
        shares = Shares(settings.memory)
        self.budget.limit, self.budget.most, self.budget.together = shares.proxy, shares.body, shares.bodies
        self.planner.conversations.key = recorder.key
        if first:
            self._open_files = open_files.raise_limit()
            self.connections.warm_up()
            self._restore(recorder)
            recorder.wait_ready()  # else the proxy is at work, and waits for nothing
        for name, value in MITMPROXY_DEFAULTS.items():
            if name not in ctx.options or ctx.options.has_changed(name):
                continue
            if not user_set(name, sys.argv[1:], ctx.options.confdir):
                ctx.options.update(**{name: value})

    def _restore(self, recorder: Recorder) -> None:
        """Go on with the sessions of the log: steps, idle times, first names."""
        restored = recorder.restore(RESTORE_SECONDS)
        for head in reversed(list(restored)):
            with self.faults.guard("restoring"):
                self.planner.restore(head)
        if restored.note is not None:
            self.planner.registry.gaps = True
            recorder.note("restore", restored.note)

    def running(self) -> None:
        """The proxy listens: say what is in force, and where."""
        assert self.settings is not None
        listening = [address for server in _servers() for address in server.listen_addrs]
        if self._rules_file and self._rules_file.path:
            logger.info(f"sessiontap: {len(self.rules.rules)} rules from {self._rules_file.path}")
        else:
            logger.warning(
                "sessiontap: there is no rules.yaml here, so every call goes into a session of its process and nothing "
                "is added to any request. Make one with: sessiontap init"
            )
        logger.info(f"sessiontap: calls are written to {self.settings.trace}")
        if any(address[0] in ("0.0.0.0", "::", "") for address in listening):
            logger.warning(
                "sessiontap: the proxy listens on all interfaces, so other machines can use it. "
                "To keep it to this one: --listen-host 127.0.0.1"
            )
        if self._open_files is not None and self._open_files < open_files.FEW:
            logger.warning(
                f"sessiontap: the proxy may have {self._open_files} files open, which is enough for some "
                f"{self._open_files // 4} clients at a time. For more, start it where `ulimit -n` says more."
            )
        host, port = listening[0][:2] if listening else (None, None)
        values = {
            "listen_host": host,
            "listen_port": port,
            "confdir": os.path.abspath(os.path.expanduser(ctx.options.confdir)),
            "trace": str(self.settings.trace),
            "rules": str(self.settings.rules) if self.settings.rules else None,
        }
        if self._home is not None:
            logger.warning(f"sessiontap: {self._home}")
            self.note("home", self._home)
        try:
            self._state = state_file.write(values)
        except OSError as error:
            logger.warning(
                f"sessiontap: `sessiontap env` and `exec` will not find this proxy: {state_file.folder()} cannot be "
                f"written ({error.strerror or error})"
            )
        # Freeze what is here to stay: a full garbage collection then takes 50 ms less.
        gc.collect()
        gc.freeze()

    def done(self) -> None:
        """The addon is taken out: the proxy ends, the entry script is being reloaded, or it has vanished."""
        if self._state is not None:
            state_file.remove(self._state)
        recorder, self.recorder = self.recorder, None
        if recorder is not None and not ctx.master.should_exit.is_set():
            self._close_aside(recorder)
        elif recorder is not None:
            end = time.monotonic() + CLOSING_SECONDS
            recorder.close()
            for one in self._closed:
                one.wait_closed(end - time.monotonic())
        if not ctx.master.should_exit.is_set():
            asyncio.get_running_loop().call_later(UNLOADED_AFTER, self._say_if_unloaded)

    def _close_aside(self, recorder: Recorder) -> None:
        self._closed = [*(one for one in self._closed if one.is_closing), recorder]
        recorder.close_aside()

    def _say_if_unloaded(self) -> None:
        if self.recorder is None:
            logger.error(
                "sessiontap: the addon was unloaded (was addon/main.py moved or deleted?). "
                "Calls go through unrecorded until the proxy is started again."
            )

    @property
    def flows_are_read(self) -> bool:
        """Whether somebody else looks at flows that are over: a user interface, a file, another script."""
        options = ctx.options
        others = [script for script in options.scripts if not script.replace("\\", "/").endswith("addon/main.py")]
        files = (getattr(options, name, None) for name in ("save_stream_file", "hardump"))
        return bool(others or any(files) or ctx.master.addons.get("view"))

    # -- the rules -----------------------------------------------------------------------------------------------------

    @property
    def rules(self) -> Rules:
        """The rules in force."""
        assert self._rules_file is not None
        return self._rules_file.rules

    async def current_rules(self) -> Rules:
        """The rules for this call: a changed file is read first."""
        file = self._rules_file
        assert file is not None
        with self.faults.guard("rules file"):
            if not file.is_current():
                await file.current()
        return self.rules

    def _rules_changed(self, file: RulesFile) -> None:
        """The file was read: its rules are in force from here on, or what is wrong with it is noted."""
        if file is not self._rules_file:
            return  # that of earlier options
        with self.faults.guard("rules file"):
            if file.error is not None:
                self.note("rules", f"a change is not in force: {file.error}", file=str(file.path))
                return
            rules = file.rules
            self.destinations = Destinations(rules)
            if self.recorder is not None:
                self.recorder.rules_changed(rules)
            self.note("rules", f"{len(rules.rules)} rules are in force", file=str(file.path), digest=rules.digest)

    # -- calls ---------------------------------------------------------------------------------------------------------

    async def plan(self, call: LiveCall, wire: bytes | None) -> Plan:
        """Read the request and plan the call. `wire` is the body as sent, None where it streams past."""
        await self.take_in_aside(call, wire)
        await self.wait_for_replies(call)
        return slimmed(call, self.decide(call))

    async def take_in_aside(self, call: LiveCall, wire: bytes | None, socket: OfSocket | None = None) -> None:
        """As `take_in`; a large request is read on another thread, one at a time, while others come and go."""
        if wire is None or not is_heavy(wire, call.request.headers.get("content-encoding")):
            self.take_in(call, wire, socket)
            return
        await asyncio.get_running_loop().run_in_executor(self._reader, self.take_in, call, wire, socket)

    def take_in(self, call: LiveCall, wire: bytes | None, socket: OfSocket | None = None) -> None:
        """Read the request. `socket` is what a WebSocket says of one that names neither conversation nor reply."""
        if call.connection.caller is None and open_files.none_left():
            self._say_no_files()
        call.request, call.call, problem = read(call.request, call.there, wire)
        if problem is not None:
            call.flags.append("undecodable")
        if socket is not None and socket.conversation is not None:
            asked, body = call.call.asked, call.call.json
            asked = replace(asked, previous=(*asked.previous, *filter(None, [socket.previous])))
            call.call = replace(call.call, asked=asked, json={"conversation": socket.conversation, **(body or {})})
        with self.faults.guard("conversations"):
            call.past = history_of(call.call)

    async def wait_for_replies(self, call: LiveCall, patience: float = PATIENCE) -> None:
        """Wait for the replies that a request may go on from, where they are not read yet: `patience` seconds."""
        self._replies.settle()
        asked, past, recorder = call.call, call.past, self.recorder
        if asked is None or past is None or recorder is None:
            return
        with self.faults.guard("conversations"):
            caller = call.connection.caller.id if call.connection.caller else None
            names = bool(asked.asked.previous or asked.asked.answered)
            awaited = self._replies.awaited(
                caller,
                past,
                names_replies=names,
                is_settled=lambda: self.planner.knows_parent(call.connection, call.there, call.request, asked, past),
            )
            if awaited:
                await self._replies.wait(awaited, recorder.hurry, patience)

    def decide(
        self, call: LiveCall, *, counts: bool = True, taken: Session | None = None, on: OnSocket | None = None
    ) -> Plan:
        """Plan a call whose request was read. For `counts` and `taken` see `Registry.assign`, for `on` see
        `Planner.plan`."""
        assert call.call is not None
        plan = self.planner.plan(
            self.rules,
            call.connection,
            call.there,
            call.request,
            call.call,
            call.id,
            call.time,
            counts=counts,
            taken=taken,
            on=on,
            past=call.past,
            upstream=call.upstream,
        )
        call.call = plan.call
        if (protected := plan.decision.protected) is not None:
            if not plan.decision.ignore:
                call.flags.append(PROTECTED)
            self.protected(call.connection, call.there.host, protected, call.id)
        for warning in plan.warnings:
            self._once(warning)
        return plan

    def finished(self, live: LiveCall, outcome: Outcome, duration: int, heads: Heads, bodies: Bodies) -> None:
        """Hand a call that is over to the recorder. `duration` is nanoseconds."""
        recorder = self.recorder
        if recorder is None:
            return
        caller = live.connection.caller
        if OVER_BUDGET in live.flags:
            self._say_over_budget()
        if live.plan is None and live.undecided == "full":
            decision = self._decided_by_rules(live, live.call)
            live.undecided = "none" if decision.ignore else decision.capture
        received = heads.received
        self._replies.expect(
            live.id,
            caller.id if caller else None,
            offers_tools=bool(live.call and live.call.asked.tools_offered),
            failed=received is None or received.status >= 400 or outcome != "ok",
            end=live.past.end if live.past is not None and live.past.steps else None,
        )
        is_queued = None
        with self.faults.guard("recording"):
            is_queued = recorder.submit(finished_call(live, outcome, duration, heads, bodies), bodies, caller)
        if is_queued is None:
            recorder.count_fault()
        if not is_queued:
            self._replies.forget(live.id)

    def receipt(self) -> Callable[[], bool]:
        """Return what tells whether all calls that have ended so far are written."""
        return self.recorder.receipt() if self.recorder is not None else lambda: True

    def _say_no_files(self) -> None:
        text = (
            f"no more files can be opened (the limit is {self._open_files}), so connections are refused and the "
            "processes of clients stay unknown. Raise it with `ulimit -n` before the proxy is started"
        )
        if self._once(text):
            self.note("open_files", text)

    def _say_over_budget(self) -> None:
        assert self.settings is not None
        text = (
            f"bodies are recorded in part while the {self.settings.memory >> 20} MB of session_memory are in use. "
            f"Their calls pass unchanged; their records have the flag {OVER_BUDGET}"
        )
        if self._once(text):
            self.note("memory", text)
    def keeps_unread(self, call: LiveCall) -> bool:
        """Reconsider a call whose body turned out to be one that is not understood: whether it is recorded at all."""
        if call.plan is None:
            return True  # `finished` sees to it
        decision = self._decided_by_rules(call, replace(call.call, json=None) if call.call else None, body=None)
        if decision.protected is None:
            return True
        self.protected(call.connection, call.there.host, decision.protected, call.id)
        call.plan = replace(call.plan, decision=replace(call.plan.decision, capture=decision.capture))
        return not decision.ignore

    def _decided_by_rules(self, live: LiveCall, call: Call | None, **request: Any) -> Decision:
        """What the rules alone say of a call, as far as it is known."""
        facts = facts_of(live.connection, live.there, replace(live.request, **request), call, live.time)
        decision, _ = decide(self.rules, facts, self.environ)
        return decision

    def _take_reply(self, update: PlannerUpdate) -> None:
        with self.faults.guard("conversations"):
            self.planner.update(update)

    # -- telling -------------------------------------------------------------------------------------------------------

    def note(self, kind: str, text: str, **facts: Any) -> None:
        """A note in the trace log."""
        if self.recorder is not None:
            self.recorder.note(kind, text, **facts)

    def not_captured(self, connection: Connection, host: str, why: str) -> None:
        """Note a connection of an LLM host that passes undecrypted."""
        caller = connection.caller
        self.note("not_captured", why, host=host, process=caller.name if caller else None, client=connection.client_ip)

    def protected(
        self, connection: Connection, host: str, protection: Protection, call: str | None = None
    ) -> None:
        """A rule that protects is applied though it is not known whether it matches: say which, and what is unknown."""
        unknown = ", ".join(protection.unknown)
        reason = connection.found.reason if any(key.startswith("process") for key in protection.unknown) else None
        verb = "is" if len(protection.unknown) == 1 else "are"
        why = f"{unknown} {verb} not known" + (f" ({reason})" if reason else "")
        done = PROTECTED_BY[protection.effect]
        rule = f"rule '{protection.rule}'" if protection.rule else "a rule"
        self._once(f"{rule} may be meant for calls of which {why}. Those calls are {done}.")
        self.note(
            "protected",
            f"{rule}, which may match: {done}, since {why}",
            rule=protection.rule,
            effect=protection.effect,
            unknown=list(protection.unknown),
            host=host,
            process=connection.caller.name if connection.caller else None,
            client=connection.client_ip,
            call=call,
        )

    def not_covered(self, connection: Connection) -> None:
        """Say once that rules that protect by the process do not hold for clients on other machines."""
        if connection.is_remote and self.rules.protects_by_process:
            self._once(
                f"{connection.client_ip} is another machine, whose processes cannot be known: rules that keep a "
                "process out of the log do not cover its calls. Match them by client or proxy_user.",
                "not covered",
            )

    def distrusted(self, connection: Connection, host: str, verdict: Verdict, error: str | None) -> None:
        """A client did not accept the proxy's certificate, or may not: say so, with what to do."""
        who = connection.caller.name if connection.caller else connection.client_ip
        reason = error or "no reason given"
        remedy = "To see them, start it with the variables that `sessiontap env` prints."
        if verdict == "closes":
            self._once(
                f"{who} has closed {CLOSED_OFTEN} connections to {host} in a row before TLS stood. If it fails, it may "
                "not trust the proxy's certificate: start it with the variables that `sessiontap env` prints."
            )
            self._handshake(connection, host, "handshakes are closed again and again")
        elif verdict == "suspect":
            self._handshake(connection, host, f"the proxy's certificate was refused, once so far: {reason}")
        else:
            self._once(
                f"{who} does not trust the proxy's certificate, so its calls to {host} failed {IN_A_ROW} times and now "
                f"pass unrecorded for {EXPIRES / 60:.0f} minutes or longer. {remedy}"
            )
            self.not_captured(connection, host, f"it does not trust the proxy's certificate: {reason}")

    def _handshake(self, connection: Connection, host: str, text: str) -> None:
        """Note a handshake that failed, from which nothing follows yet."""
        caller = connection.caller
        self.note("handshake", text, host=host, process=caller.name if caller else None, client=connection.client_ip)

    def _once(self, text: str, what: str | None = None) -> bool:
        """Say it, unless it was said before, or something else of `what`: then False."""
        if (what or text) in self._told:
            return False
        self._told.put(what or text, True)
        logger.warning(f"sessiontap: {text}")
        return True


def is_heavy(wire: bytes, encoding: str | None) -> bool:
    """Reading the request takes the loop more than a few milliseconds: it is large, encoded, or has many parts."""
    size = len(wire)
    return size > HEAVY or (size > LIGHT and (encoding is not None or wire.count(b"{") > MANY_PARTS))


def slimmed(call: LiveCall, plan: Plan) -> Plan:
    """Free what only planning needed of a large request: the call may take minutes. The plan without it."""
    if call.request.body is None or len(call.request.body) <= LIGHT:
        return plan
    call.request = replace(call.request, body=None)
    call.call = replace(plan.call, json=None)
    call.past = call.past.tail() if call.past is not None else None
    return replace(plan, call=call.call, history=plan.history.tail() if plan.history is not None else None)


def prepare_home() -> str | None:
    """As `private.prepare_home`. Raises SettingsError."""
    try:
        return private.prepare_home()
    except OSError as error:
        raise SettingsError(
            f"there is no folder for Sessiontap's own files: {error.filename}: {error.strerror}. "
            "Point HOME or TMPDIR at a folder that can be written."
        ) from None


def _servers() -> list[Any]:
    proxyserver: Any = ctx.master.addons.get("proxyserver")
    return list(proxyserver.servers) if proxyserver is not None else []


def _said(error: Exception) -> str:
    hint = getattr(error, "hint", "")
    return f"{error}. {hint}" if hint else str(error)

