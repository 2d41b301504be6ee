"""The command as a test runs it, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sessiontap.cli.main import main


class Printed(NamedTuple):
    """A command's exit status, and the texts that it printed."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Printed]


def runner(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *begin: str, trace: Path | None = None
) -> Run:
    """Return a function that runs `sessiontap BEGIN ARGUMENTS` on the log `trace`, or on the one that it is given.

    If `trace` is None, the environment is left as it is.
    """
    if trace is not None:
        monkeypatch.setenv("SESSIONTAP_TRACE", str(trace))

    def run(*arguments: str, trace: Path | None = trace) -> Printed:
        if trace is not None:
            monkeypatch.setenv("SESSIONTAP_TRACE", str(trace))
        status = main([*begin, *arguments])
        said = capsys.readouterr()
        return Printed(status, said.out, said.err)

    return run
