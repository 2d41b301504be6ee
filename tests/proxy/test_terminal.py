"""The lines that calls leave on the terminal."""

from __future__ import annotations

import logging
import re
import sys
from io import StringIO

import pytest
from mitmproxy import ctx, options

from sessiontap.proxy.recorder import Terminal

LINE = re.compile(r"\[\d\d:\d\d:\d\d\.\d{3}\] (.*)")


def terminal(monkeypatch: pytest.MonkeyPatch, verbosity: str | None) -> Terminal:
    """Of a proxy with mitmproxy's terminal log at this verbosity; None: without one, as in its user interfaces."""
    made = options.Options()
    if verbosity is not None:
        made.add_option("termlog_verbosity", str, verbosity, "")
    monkeypatch.setattr(ctx, "options", made, raising=False)
    return Terminal()


@pytest.mark.parametrize(
    ("verbosity", "said"),
    [("info", ["one", "two"]), ("debug", ["one", "two"]), ("warn", []), ("error", [])],
)
def test_lines_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verbosity: str, said: list[str]
) -> None:
    terminal(monkeypatch, verbosity).say(["one", "two"])
    lines = capsys.readouterr().out.splitlines()
    assert [match[1] for line in lines if (match := LINE.fullmatch(line))] == said
    assert len(lines) == len(said)


def test_without_a_terminal_they_go_to_mitmproxys_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sessiontap")
    terminal(monkeypatch, None).say(["one", "two"])
    assert [record.getMessage() for record in caplog.records] == ["one", "two"]


def test_no_lines_write_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal(monkeypatch, "info").say([])
    assert capsys.readouterr().out == ""


def test_a_terminal_that_has_gone_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = StringIO()
    gone.close()
    monkeypatch.setattr(sys, "stdout", gone)
    terminal(monkeypatch, "info").say(["one"])
