"""A recipe as a test runs it: its rules file, its app through the proxy and past it, its page."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from tests.e2e.lab import ROOT, Lab, Proxy, own_environment
from tests.support import warm
from tests.support.dialogue import Request
from tests.support.gate import PATIENCE

from sessiontap.cli import push_status
from sessiontap.trace import open as open_log

FOLDER = ROOT / "docs" / "recipes"
Start = Callable[..., Any]
"""Starts a command with an environment in a folder, and returns it as `subprocess.Popen` does."""
Talk = Callable[[str], str]
"""Takes the first line of an app that serves, and returns all that its user saw of it."""


@dataclass(frozen=True)
class Ended:
    """An app that has run."""

    status: int
    stdout: str
    stderr: str
    talk: str = ""
    """What its user saw, if it served one."""

    @property
    def seen(self) -> tuple[int, list[str], str]:
        """All that must be the same with the proxy and without. Lines may change places: two jobs run at once."""
        return self.status, sorted(re.sub(r"(?<=:)\d+(?=/)", "PORT", self.stdout).splitlines()), self.talk


class Recipe:
    """The recipe `docs/recipes/NAME`, in a lab whose upstreams stand in for its servers."""

    def __init__(self, name: str, lab: Lab, folder: Path | None = None, *, home: str = "home") -> None:
        """`folder`: run its app there, in the place of the recipe's own folder. `home`: its user's, a new one."""
        self.folder = folder or FOLDER / name
        self.rules = FOLDER / name / "rules.yaml"
        self._lab = lab
        self._home = lab.folder / home
        self._home.mkdir()

    def proxy(self, environment: Mapping[str, str] | None = None) -> Proxy:
        """A proxy with the recipe's own rules file."""
        return self._lab.proxy(
            None, options={"session_rules": self.rules}, environment=environment, home=str(self._home)
        )

    def through(self, command: Sequence[str | Path], keys: Mapping[str, str], talk: Talk | None = None) -> Ended:
        """Run the app by `sessiontap exec`, as its page says."""
        return self._run(warm.sessiontap().start, ["exec", "--", *map(str, command)], keys, talk)

    def past(self, command: Sequence[str | Path], keys: Mapping[str, str], talk: Talk | None = None) -> Ended:
        """Run the app without the proxy. `keys` say where its servers are."""
        trusted = {"NODE_EXTRA_CA_CERTS": str(self._lab.authority.pem), "SSL_CERT_FILE": str(self._lab.authority.pem)}
        return self._run(_start, [str(word) for word in command], {**trusted, **keys}, talk)

    def command(self, *arguments: str, **more: str) -> warm.Forked:
        """Start another command of ours beside it; what it says is nobody's."""
        environ = {**own_environment(), "HOME": str(self._home), **more}
        nowhere = subprocess.DEVNULL
        return warm.sessiontap().start(arguments, environ, self.folder, stdout=nowhere, stderr=nowhere)

    def _run(self, start: Start, command: list[str], more: Mapping[str, str], talk: Talk | None) -> Ended:
        environ = {**own_environment(), "HOME": str(self._home), "PYTHONUNBUFFERED": "1", **more}
        first = seen = ""
        read, write = os.pipe()
        with os.fdopen(read) as out, TemporaryFile("w+") as errors:
            try:
                process = start(command, environ, self.folder, stdout=write, stderr=errors)
            finally:
                os.close(write)
            try:
                if talk is not None:
                    first = out.readline()
                    seen = talk(first)
                    process.send_signal(signal.SIGTERM)
                rest = out.read()
                status = process.wait(PATIENCE)
            except BaseException:
                process.kill()
                raise
            errors.seek(0)
            return Ended(status, first + rest, errors.read(), seen)


def _start(
    command: Sequence[str], environ: Mapping[str, str], folder: Path, *, stdout: int, stderr: IO[str]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, env=dict(environ), cwd=folder, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
    )


def page(name: str) -> str:
    """The recipe's page."""
    return (FOLDER / name / "README.md").read_text("utf-8")


def shown(text: str) -> list[tuple[str, str]]:
    """The commands on a page, each with what stands beneath it as its output."""
    return re.findall(r"^```\n\$ (sessiontap .*?)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def said(command: str, recipe: str, trace: Path) -> str:
    """The output of a command of ours on this log, with the recipe's rules."""
    program, *arguments = shlex.split(command)
    assert program == "sessiontap"
    rules = FOLDER / recipe / "rules.yaml"
    environ = {**os.environ, "SESSIONTAP_TRACE": str(trace), "SESSIONTAP_RULES": str(rules)}
    done = warm.sessiontap().run(arguments, environ)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def push_row(trace: Path) -> dict[str, Any]:
    """The row of `push status --json` for the one target of this log; empty before there is one."""
    return next(iter(push_status.rows(open_log(trace))), {})


def normalised(text: str) -> str:
    """`text` without what differs from run to run: ids, times, ports; columns are as wide as what stands in them."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"\b01[0-9a-f]{6}-[0-9a-f]{4}-7[0-9a-f]{3}\b", "ID", text)
    text = re.sub(r"\b(?=\w*\d)[0-9a-f]{8}\b", "ID", text)
    text = re.sub(r"(?<=:)[0-9a-f]{10}(?=\])", "DIGEST", text)
    text = re.sub(r"(?<=127\.0\.0\.1:)\d+", "PORT", text)
    text = re.sub(r"\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d)?", "DAY", text)
    text = re.sub(r"\b\d+(?:\.\d+)?(?:ms|s)\b|\b\d+m\d\ds\b", "TIME", text)
    return "\n".join(re.sub(r" {2,}", "  ", line).rstrip() for line in text.splitlines())


def missing_lines(page_text: str, output: str) -> list[str]:
    """The lines that a page shows and the output has not, in their order; `...` stands for any lines."""
    shown_lines, lines = normalised(page_text).splitlines(), normalised(output).splitlines()
    if "..." not in shown_lines:
        pairs = zip_longest(shown_lines, lines)
        return [f"{ours!r} is shown, {theirs!r} is said" for ours, theirs in pairs if ours != theirs]
    rest = iter(lines)
    return [line for line in shown_lines if line != "..." and not any(line == other for other in rest)]


def session_headers(request: Request) -> dict[str, str]:
    """What a gateway was told of the session, by lower-case names."""
    wanted = ("helicone-", "x-traceforge-")
    return {name.lower(): value for name, value in request.headers if name.lower().startswith(wanted)}
