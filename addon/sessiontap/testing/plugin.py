"""The plugin of pytest: tests that use the fixture `sessiontap` get their LLM calls from a recording.

    pytest --sessiontap-record     run them live, and record each one's calls beside it
    pytest --sessiontap-replay     run them offline on these

With neither the tests run as they would without the plugin. It imports nothing more until one of them is asked for.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sessiontap.replay.report import Report
    from sessiontap.testing.stage import Stage

_RUNGS = ("exact", "canonical", "tools", "place")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sessiontap", "LLM calls from recordings")
    group.addoption(
        "--sessiontap-replay",
        dest="sessiontap_mode",
        action="store_const",
        const="replay",
        help="Run offline: the fixture `sessiontap` answers LLM calls from the test's recording.",
    )
    group.addoption(
        "--sessiontap-record",
        dest="sessiontap_mode",
        action="store_const",
        const="record",
        help="Run live, and record the LLM calls of each test that uses the fixture `sessiontap`.",
    )
    group.addoption(
        "--sessiontap-strict",
        choices=_RUNGS,
        default=None,
        help="The weakest match of a request with a recorded one that is answered.",
    )
    parser.addini("sessiontap_mode", "record, replay or live, if no option says it.", default="live")
    parser.addini("sessiontap_strict", "As --sessiontap-strict.", default="place")
    parser.addini("sessiontap_recordings", "The folder of recordings, beside each test file.", default="recordings")
    parser.addini(
        "sessiontap_egress",
        "blocked: a replayed test reaches nothing but its recording and this machine. open: it does.",
        default="blocked",
    )
    parser.addini("sessiontap_hosts", "Hosts beside those of LLM providers, a line each.", type="linelist")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start the proxy before tests are collected: a client that a module makes goes through it, too."""
    mode = config.getoption("sessiontap_mode") or config.getini("sessiontap_mode")
    if mode == "live" or config.getoption("collectonly", False) or config.getoption("help", False):
        return
    if mode not in ("record", "replay"):
        raise pytest.UsageError(f"sessiontap_mode = {mode}: it is record, replay or live")
    strict = config.getoption("sessiontap_strict") or config.getini("sessiontap_strict")
    if strict not in _RUNGS:
        raise pytest.UsageError(f"sessiontap_strict = {strict}: it is one of {', '.join(_RUNGS)}")
    egress = config.getini("sessiontap_egress")
    if egress not in ("blocked", "open"):
        raise pytest.UsageError(f"sessiontap_egress = {egress}: it is blocked or open")
    from sessiontap.cli.errors import Failure
    from sessiontap.testing.stage import RecordStage, ReplayStage

    hosts = config.getini("sessiontap_hosts")
    try:
        is_closed = egress == "blocked"
        replays = mode == "replay"
        config.stash[_STAGE] = ReplayStage(strict, hosts, is_closed=is_closed) if replays else RecordStage(hosts)
    except Failure as failure:
        raise pytest.UsageError(f"sessiontap: {failure}") from None


def pytest_unconfigure(config: pytest.Config) -> None:
    stage = config.stash.get(_STAGE, None)
    if stage is not None:
        stage.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say beside a failure what was not answered as recorded."""
    report = yield
    used = item.stash.get(_USED, None)
    if used is not None and report.when == "call":
        used.passed = report.passed
        if report.failed and (summary := used.differences):
            report.sections.append(("sessiontap", summary))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    stage = config.stash.get(_STAGE, None)
    if stage is not None and (summary := stage.summary):
        terminalreporter.write_line(f"sessiontap: {summary}")


class Sessiontap:
    """The fixture's value: what became of the test's calls."""

    def __init__(self, recording: Path, stage: Stage | None) -> None:
        self.recording = recording
        """The folder of the test's recording."""
        self.passed = False
        """False as well while it runs, and of a test that is skipped."""
        self._stage = stage

    @property
    def report(self) -> Report | None:
        """The answers so far, with their rungs, and the calls not asked for yet; None if nothing is replayed."""
        return self._stage.report() if self._stage is not None else None

    @property
    def differences(self) -> str | None:
        """The requests that were not as recorded, and the machines that were not reached, in words; None if there are
        none."""
        from sessiontap.replay.report import text

        found = self.report
        if found is None or self._stage is None:
            return None
        summary = [] if found.is_clean else [text(found)]
        if refused := self._stage.refused:
            summary.append(f"not reached, since the test is replayed: {', '.join(refused)}")
        return "\n".join(summary) or None


@pytest.fixture
def sessiontap(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sessiontap]:
    """The test's LLM calls come from its recording (--sessiontap-replay), or make one (--sessiontap-record)."""
    from sessiontap.testing.recordings import recording_of

    config, node = request.config, request.node
    folder = recording_of(node.path, node.name, getattr(node, "cls", None), config.getini("sessiontap_recordings"))
    stage = config.stash.get(_STAGE, None)
    used = node.stash[_USED] = Sessiontap(folder, stage)
    if stage is None:
        yield used
        return
    if problem := stage.begin(folder, monkeypatch):
        pytest.fail(problem, pytrace=False)
    yield used
    if problem := stage.end(folder, passed=used.passed):
        pytest.fail(problem, pytrace=False)


_STAGE = pytest.StashKey["Stage"]()
_USED = pytest.StashKey[Sessiontap]()
