"""The proxy that all tests of a run go through: it records their calls (`RecordStage`) or replays them (`ReplayStage`).

Its variables are set in this process's environment, so that clients of the tests themselves find it, and programs that
they start. A run has one proxy: a test waits for none to start.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sessiontap.cli import environment, local_proxies
from sessiontap.cli.exec_rules import captured_hosts, exec_rules, host_name
from sessiontap.cli.private_proxy import private_proxy, upstream
from sessiontap.cli.replay_input import all_dummy_keys, login_variables, loopback_ports
from sessiontap.replay import report as reports
from sessiontap.replay.question import RUNGS, Rung
from sessiontap.replay.replayer import LadderReplayer, open_replayer
from sessiontap.replay.server import ReplayServer
from sessiontap.replay_link import VARIABLE
from sessiontap.testing import recordings
from sessiontap.testing.egress import Egress
from sessiontap.units import plural

if TYPE_CHECKING:
    import pytest

    from sessiontap.replay.report import Report

_HOW_TO_RECORD = "run it live with --sessiontap-record"
_TO_DO = "Record the test again with --sessiontap-record, or allow weaker matches with --sessiontap-strict."


class Stage(Protocol):
    """The proxy of a run, and its part in each test."""

    def begin(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str | None:
        """A test begins, whose recording is in `folder`. Return why it cannot; None if it can."""
        ...

    def end(self, folder: Path, *, passed: bool) -> str | None:
        """It has ended. Return why it must fail although it `passed`; None if it need not."""
        ...

    def report(self) -> Report | None:
        """Return what was answered; None if nothing is replayed."""
        ...

    @property
    def refused(self) -> Sequence[str]:
        """The other machines that the test asked for in vain."""
        ...

    @property
    def summary(self) -> str | None:
        """The sum of all tests, for the end of the run; None if no test used it."""
        ...

    def close(self) -> None:
        """All tests have ended."""
        ...


class _Proxy:
    """A private proxy, and its variables in this process's environment."""

    def __init__(
        self,
        log: Path,
        hosts: Sequence[str],
        variables: Mapping[str, str],
        keys: Mapping[str, str],
        *,
        is_live: bool,
    ) -> None:
        """`variables`: of the proxy alone; `keys`: of this process. Raises Failure."""
        environment.prepare_home()
        before = environment.original(os.environ)
        environment.prepare_ca(None)
        self._closing = contextlib.ExitStack()
        self._replaced: dict[str, str | None] = {}
        try:
            rules = self._closing.enter_context(exec_rules(None, None, None, hosts))
            behind = upstream(before) if is_live else None
            own = self._closing.enter_context(private_proxy(rules, log, behind, variables))
            self.running = own.wait_until_ready()
            self.warnings = own.warnings
            captured = [*map(host_name, hosts), *captured_hosts(self.running.rules)]
            if not is_live:  # only what this machine serves itself may be called past the proxy
                before = {name: value for name, value in before.items() if name.lower() != "no_proxy"}
            surroundings = environment.prepare(None, before)
            self._set({**keys, **surroundings.variables(self.running.url, before, captured, node=True)})
        except BaseException:
            self.close()
            raise

    def _set(self, variables: Mapping[str, str]) -> None:
        self._replaced = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)

    def close(self) -> None:
        for name, value in self._replaced.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._replaced = {}
        self._closing.close()


class ReplayStage:
    """Answers each test's calls from its recording."""

    def __init__(self, strict: Rung, hosts: Sequence[str], *, is_closed: bool) -> None:
        """`is_closed`: a test reaches nothing but its recording and this machine. Raises Failure."""
        self._strict = strict
        self._egress: Egress | None = None
        self._replayer: LadderReplayer | None = None
        self._tests, self._rungs = 0, Counter[Rung]()
        self._log = Path(tempfile.mkdtemp(prefix="sessiontap-"))
        self._server = ReplayServer()
        try:
            variables = {VARIABLE: str(self._server.address)}
            keys = all_dummy_keys(os.environ)
            self._proxy = _Proxy(self._log, hosts, variables, keys, is_live=False)
            self._keys = keys.keys()
            if is_closed:
                plain = self._proxy.running.plain
                assert plain is not None
                self._egress = Egress((plain.local_host, plain.port))
        except BaseException:
            self._server.close()
            shutil.rmtree(self._log, ignore_errors=True)
            raise
        self._server.start()

    def begin(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str | None:
        calls = recordings.recorded_calls(folder)
        if not calls:
            return f"there is no recording of this test in {folder}: {_HOW_TO_RECORD}"
        for name in self._keys & login_variables(calls):
            monkeypatch.delenv(name, raising=False)
        self._replayer = open_replayer(calls, strict=self._strict)
        self._server.load(self._replayer, to_do=_TO_DO)
        if self._egress is not None:
            self._egress.close(loopback_ports(calls), monkeypatch)
        return None

    def end(self, folder: Path, *, passed: bool) -> str | None:
        found, self._replayer = self.report(), None
        if self._egress is not None:
            self._egress.open()
        self._server.unload()
        if found is None:
            return None
        self._tests += 1
        self._rungs.update(found.rungs)
        if not passed:
            return None
        if found.misses:
            return f"{plural(len(found.misses), 'request')} had no recorded call:\n{reports.text(found)}"
        if not found.asked:
            return f"none of the calls recorded in {folder} was asked for: does the test still make them?"
        return None

    @property
    def summary(self) -> str | None:
        if not self._tests:
            return None
        rungs = ", ".join(f"{self._rungs[rung]} at {rung}" for rung in RUNGS if self._rungs[rung])
        text = f"{plural(self._tests, 'test')} replayed, requests answered: {rungs or 'none'}"
        if self._egress is not None and (why := self._egress.why_not_programs) is not None:
            text += f". Programs that tests start are kept from the network only as far as they heed HTTPS_PROXY: {why}"
        return text

    @property
    def refused(self) -> Sequence[str]:
        return self._egress.refused if self._egress is not None else ()

    def report(self) -> Report | None:
        return self._replayer.report() if self._replayer is not None else None

    def close(self) -> None:
        if self._egress is not None:
            self._egress.end()
        self._proxy.close()
        self._server.close()
        shutil.rmtree(self._log, ignore_errors=True)


class RecordStage:
    """Records each test's calls. The recording of a test that does not pass stays as it was."""

    def __init__(self, hosts: Sequence[str]) -> None:
        """Raises Failure."""
        self._since = self._tests = self._calls = 0
        self._log = Path(tempfile.mkdtemp(prefix="sessiontap-"))
        try:
            self._proxy = _Proxy(self._log, hosts, {}, {}, is_live=True)
        except BaseException:
            shutil.rmtree(self._log, ignore_errors=True)
            raise

    def begin(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str | None:
        self._since = time.time_ns()
        return None

    def end(self, folder: Path, *, passed: bool) -> str | None:
        answer = local_proxies.recorded(self._proxy.running, os.getpid())
        if not passed:
            return None
        if answer is None or not answer.recorded:
            return "its calls have not ended, or are not in the log yet: no recording was made"
        try:
            number = recordings.save(self._log, self._since, folder)
        except OSError as error:
            return f"its recording cannot be written: {folder}: {error.strerror or error}"
        if not number:
            return f"it made no LLM call that could be recorded\n{self._proxy.warnings()}".strip()
        self._tests, self._calls = self._tests + 1, self._calls + number
        return None

    @property
    def summary(self) -> str | None:
        return f"{plural(self._calls, 'call')} of {plural(self._tests, 'test')} recorded" if self._tests else None

    @property
    def refused(self) -> Sequence[str]:
        return ()

    def report(self) -> Report | None:
        return None

    def close(self) -> None:
        self._proxy.close()
        shutil.rmtree(self._log, ignore_errors=True)
