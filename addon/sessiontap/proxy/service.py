"""Start, stop and reload what runs behind the hooks: settings, rules, connections, planner, recorder.

It is not on the way of a call: that is `Calls`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from mitmproxy import ctx
from mitmproxy.addonmanager import Loader

from sessiontap import private
from sessiontap.faults import Faults
from sessiontap.large_blocks import give_large_blocks_back
from sessiontap.proxy import open_files, state_file
from sessiontap.proxy.calls import Calls
from sessiontap.proxy.connections import Connection, Connections, Destinations
from sessiontap.proxy.notices import Notices
from sessiontap.proxy.plan import Planner
from sessiontap.proxy.pushes import Pushes
from sessiontap.proxy.recorder import CLOSING_SECONDS, Recorder
from sessiontap.proxy.requirements import exit_with_error
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
from sessiontap.proxy.shared_counts import WorkerCounts
from sessiontap.recording.budget import Shares
from sessiontap.redaction import RedactionError
from sessiontap.rules import Rules, RulesError
from sessiontap.stores import RedisStore, StoreCounts
from sessiontap.trace.annotations import annotate, label_record
from sessiontap.trace.files import TraceError

logger = logging.getLogger("sessiontap")

LIMITS = frozenset({"stream_large_bodies", "body_size_limit"})
"""Options of mitmproxy's that each body is held against."""
RESTORE_SECONDS = 1.0
"""Seconds for which a start may read the trace log to go on with its sessions."""
UNLOADED_AFTER = 1.5
"""Seconds without the addon after which it is gone, not being reloaded."""


class OwnWorker(Protocol):
    """The worker that this process is (worker.py)."""

    count: int
    """Of all workers."""
    counts: WorkerCounts
    listeners: list[dict[str, Any]]
    """The addresses at which the front listens, as in the state file."""
    token: str

    @property
    def is_first(self) -> bool:
        """It says what all workers would say."""
        ...

    def ready(self, values: Mapping[str, Any]) -> None:
        """Take connections from here on. `values` are for the state file."""
        ...


class Service:
    """One for the life of the process."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.connections = Connections()
        self.destinations: Destinations
        self.environ = environment()
        self.planner = Planner(self.environ, faults)
        self.notices = notices = Notices()
        faults.tell = lambda kind, text: notices.note("fault", text, where=kind)
        self.calls = Calls(self.planner, self.notices, lambda: self.rules, faults)
        self.settings: Settings | None = None
        self.verifies = True
        """mitmproxy verifies the certificates of servers."""
        self.limits_bodies = True
        """mitmproxy limits bodies, or has large ones stream."""
        self.recorder: Recorder | None = None
        self.rules_file: RulesFile | None = None
        self.pushes: Pushes | None = None
        self.store: RedisStore | None = None
        """Which other proxies share; None: sessions are remembered here."""
        self.worker: OwnWorker | None = None
        """Of `sessiontap run --workers`, if this process is one."""
        self._token = secrets.token_urlsafe()
        self._reading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._state: Path | None = None
        self._home: str | None = None
        """A sentence for the user about the folder of our own state."""
        self._closed: list[Recorder] = []
        """Recorders of earlier options, or of before a reload, that are writing their last calls."""

    # -- start and stop ------------------------------------------------------------------------------------------------

    def register(self, loader: Loader) -> None:
        """Give mitmproxy the options."""
        for option in OPTIONS:
            loader.add_option(option.name, str, option.default, option.help)

    def configure(self, updated: set[str]) -> None:
        """Start, or start again with other options. At first, what is wrong ends the proxy with a sentence."""
        if "ssl_insecure" in updated:
            self.verifies = not ctx.options.ssl_insecure  # each look at an option makes a copy of its value
        if not LIMITS.isdisjoint(updated):
            self.limits_bodies = any(getattr(ctx.options, name) for name in LIMITS)
        if only_prints() or updated.isdisjoint(option.name for option in OPTIONS):
            return
        try:
            self._refuse_unknown_options()
            self._home = prepare_home()
            values = {option.name: getattr(ctx.options, option.name) for option in OPTIONS}
            settings = parse(values, self.environ, Path.cwd(), self.worker.count if self.worker is not None else 1)
            if settings != self.settings or self.recorder is None:
                self._start(settings)
        except (SettingsError, RulesError, TraceError, RedactionError) as error:
            if self.settings is None:
                exit_with_error(_message(error))
            logger.error(f"sessiontap: the changed options are not in force: {_message(error)}")

    def _refuse_unknown_options(self) -> None:
        unknown = [name for name in ctx.options.deferred if name.startswith("session_")]
        if unknown:
            raise SettingsError(
                f"there is no option {unknown[0]!r}. Its options are: {', '.join(option.name for option in OPTIONS)}"
            )

    def _start(self, settings: Settings) -> None:
        self.calls.replies.begin(asyncio.get_running_loop())
        self.calls.alerts.start(asyncio.get_running_loop())
        rules_file = RulesFile(settings.rules, self._rules_changed, tells=self._speaks)
        recorder = Recorder(
            settings, rules_file.rules, self.calls.replies.read, self.faults, self.calls.alerts.read
        )
        if self.recorder is not None:
            self._close_aside(self.recorder)
        self.rules_file, first = rules_file, self.settings is None
        self._end_watch()
        self._watching = asyncio.get_running_loop().create_task(rules_file.watch())
        self.record_with(recorder)
        self._push_from(settings)
        self.calls.alerts.notify_by(rules_file.rules.notified, self.environ)
        self.destinations = Destinations(rules_file.rules)
        self.settings = settings
        shares = Shares(settings.memory)
        budget = self.calls.budget
        budget.limit, budget.most, budget.together = shares.proxy, shares.body, shares.bodies
        budget.reading = shares.reading
        self.notices.memory = settings.memory
        self.planner.conversations.key = recorder.key
        if first:
            self.notices.open_files = open_files.raise_limit()
            self.connections.warm_up()
            self._restore(recorder)
        self._share_by(settings)
        if first:
            recorder.wait_ready()  # else the proxy is at work, and waits for nothing
        for name, value in MITMPROXY_DEFAULTS.items():
            if name not in ctx.options or ctx.options.has_changed(name):
                continue
            if not user_set(name, sys.argv[1:], ctx.options.confdir):
                ctx.options.update(**{name: value})

    def _push_from(self, settings: Settings) -> None:
        """Push from the log of these settings; of several workers the first one does. It begins with `running`."""
        if self.pushes is not None:
            self.pushes.close_aside()
        self.pushes = None
        if self._speaks:
            self.pushes = Pushes(settings.trace, settings.rules)
            if self.settings is not None:
                self.pushes.want(self.rules.pushes)

    def _share_by(self, settings: Settings) -> None:
        """Remember sessions, and count for alerts and limits, where these settings say."""
        if self.store is not None and self.store.address == settings.store:
            return
        if self.store is not None:
            self.store.close()
        planner, self.store = self.planner, None
        planner.store = planner.registry
        if settings.store is not None:
            if settings.store.is_password_in_clear and self._speaks:
                logger.warning(
                    f"sessiontap: the password of {settings.store} goes over the network in clear; use rediss://"
                )
            self.store = planner.store = RedisStore(
                settings.store,
                planner.registry,
                planner.conversations,
                self.faults,
                self.notices.session_store,
                self._keep_steps,
            )
            self.store.start()
        alerts = self.calls.alerts
        alerts.shared = self.worker.counts if self.worker is not None else None
        if self.store is not None:
            alerts.shared = StoreCounts(self.store, alerts.tracker, alerts.tell)
        self.calls.replies.at_once = self.store is not None

    async def _keep_steps(self, steps: Mapping[str, int]) -> None:
        """Label the calls that had local steps with those that the store gave them. Raises TraceError."""
        assert self.settings is not None
        label = label_record(calls=steps, steps=steps, source="store")
        await asyncio.to_thread(annotate, self.settings.trace, [label])

    def record_with(self, recorder: Recorder | None) -> None:
        """Hand calls and notes to this recorder from here on."""
        self.recorder = self.calls.recorder = self.notices.recorder = recorder

    def _restore(self, recorder: Recorder) -> None:
        """Go on with the sessions of the log: steps, idle times, first names; and with the counts of alerts."""
        restored = recorder.restore(RESTORE_SECONDS)
        heads = list(reversed(list(restored)))
        for head in heads:
            with self.faults.guard("restoring"):
                self.planner.restore(head)
        with self.faults.guard("restoring"):
            self.calls.alerts.restore(heads, restored.callers, restored.lifted, self.rules)
        if restored.note is not None:
            self.planner.registry.gaps = True
            recorder.note("restore", restored.note)

    @property
    def _speaks(self) -> bool:
        """False in a worker beside the first one, which says what all would say."""
        return self.worker is None or self.worker.is_first

    def listeners(self) -> list[dict[str, Any]]:
        """The addresses at which the proxy listens, as in the state file."""
        if self.worker is not None:
            return self.worker.listeners
        return [
            {"mode": server.mode.type_name, "host": address[0], "port": address[1]}
            for server in _servers()
            for address in server.listen_addrs
        ]

    @property
    def token(self) -> str:
        """The secret of the state file, by which the proxy's user may ask for calls in flight."""
        return self._token if self.worker is None else self.worker.token

    def running(self) -> None:
        """The proxy listens: say what is in force, and where. A worker leaves that to the first one and the front."""
        assert self.settings is not None
        if self._speaks:
            self._say_what_is_in_force()
        self._publish()
        if self.pushes is not None:
            self.pushes.want(self.rules.pushes)
        give_large_blocks_back()
        # Freeze what is here to stay: a full garbage collection then takes 50 ms less.
        gc.collect()
        gc.freeze()

    def _say_what_is_in_force(self) -> None:
        assert self.settings is not None
        if self.rules_file and self.rules_file.path:
            logger.info(f"sessiontap: {self.rules.counted} from {self.rules_file.path}")
        else:
            logger.warning(
                "sessiontap: there is no rules.yaml here, so every call goes into a session of its process and nothing "
                "is added to any request. Make one with: sessiontap init"
            )
        logger.info(f"sessiontap: calls are written to {self.settings.trace}")
        if any(one["host"] in ("0.0.0.0", "::") for one in self.listeners()):
            logger.warning(state_file.ON_ALL_INTERFACES)
        files = self.notices.open_files
        if files is not None and files < open_files.FEW:
            logger.warning(
                f"sessiontap: the proxy may have {files} files open, which is enough for some "
                f"{files // 4} clients at a time. For more, start it where `ulimit -n` says more."
            )
        if self._home is not None:
            logger.warning(f"sessiontap: {self._home}")
            self.notices.note("home", self._home)

    def drains(self, answers_at: int) -> None:
        """The proxy takes no connection any more; it answers for itself at this port of its machine."""
        self._publish({"mode": "answers", "host": "127.0.0.1", "port": answers_at})

    def _publish(self, answers_at: Mapping[str, Any] | None = None) -> None:
        """Write the state file; a worker tells the front what belongs into it."""
        assert self.settings is not None
        values = {
            "listeners": self.listeners() if answers_at is None else [],
            "answers_at": answers_at,
            "confdir": os.path.abspath(os.path.expanduser(ctx.options.confdir)),
            "trace": str(self.settings.trace),
            "rules": str(self.settings.rules) if self.settings.rules else None,
            "token": self.token,
        }
        if self.worker is not None:
            self.worker.ready(values)
            return
        try:
            self._state = state_file.write(values)
        except OSError as error:
            logger.warning(state_file.not_written(error))

    def done(self) -> None:
        """The addon is taken out: the proxy ends, the entry script is being reloaded, or it has vanished."""
        if self._state is not None:
            state_file.remove(self._state)
        self._end_watch()
        recorder = self.recorder
        self.record_with(None)
        if recorder is not None and not ctx.master.should_exit.is_set():
            self._close_aside(recorder)
        elif recorder is not None:
            end = time.monotonic() + CLOSING_SECONDS
            recorder.close()
            for one in self._closed:
                one.wait_closed(end - time.monotonic())
        if ctx.master.should_exit.is_set():
            self.calls.alerts.notifier.close()
        if self.store is not None and ctx.master.should_exit.is_set():
            self.store.close()
        if self.pushes is not None and ctx.master.should_exit.is_set():
            self.pushes.close()
        elif self.pushes is not None:
            self.pushes.close_aside()
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
        """True if somebody else looks at flows that are over: a user interface, a file, another script."""
        options = ctx.options
        others = [script for script in options.scripts if not script.replace("\\", "/").endswith("addon/main.py")]
        files = (getattr(options, name, None) for name in ("save_stream_file", "hardump"))
        return bool(others or any(files) or ctx.master.addons.get("view"))

    # -- the rules -----------------------------------------------------------------------------------------------------

    @property
    def rules(self) -> Rules:
        """The rules in force."""
        assert self.rules_file is not None
        return self.rules_file.rules

    def read_rules(self) -> None:
        """Read the rules file now, without waiting for a call, and say what is in force. A replay has none."""
        if self.rules_file is None:
            return
        self._reading = asyncio.get_running_loop().create_task(self._say_rules())

    def _end_watch(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def _say_rules(self) -> None:
        rules, file = await self.current_rules(), self.rules_file
        if file is not None and file.error is None and self._speaks:
            logger.info(f"sessiontap: {rules.counted} in force")

    async def current_rules(self) -> Rules:
        """The rules for this call: a changed file is read first."""
        file = self.rules_file
        assert file is not None
        with self.faults.guard("rules file"):
            if not file.is_current():
                await file.current()
        return self.rules

    def has_current_rules_for(self, connection: Connection) -> bool:
        """True if the rules are those of the file as it stands, and all is known that they ask of a process."""
        file = self.rules_file
        assert file is not None
        with self.faults.guard("rules file"):
            if not file.is_current():
                return False
        return file.rules.env_names <= connection.env_names

    def _rules_changed(self, file: RulesFile) -> None:
        """The file was read: its rules are in force from here on, or what is wrong with it is noted."""
        if file is not self.rules_file:
            return  # that of earlier options
        with self.faults.guard("rules file"):
            if file.error is not None:
                self._note_rules(f"a change is not in force: {file.error}", file=str(file.path))
                return
            rules = file.rules
            self.destinations = Destinations(rules)
            if self.recorder is not None:
                self.recorder.rules_changed(rules)
            if self.pushes is not None:
                self.pushes.want(rules.pushes)
            self.calls.alerts.notify_by(rules.notified, self.environ)
            self._note_rules(f"{rules.counted} in force", file=str(file.path), digest=rules.digest)

    def _note_rules(self, text: str, **facts: Any) -> None:
        if self._speaks:
            self.notices.note("rules", text, **facts)


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


def _message(error: Exception) -> str:
    hint = getattr(error, "hint", "")
    return f"{error}. {hint}" if hint else str(error)

