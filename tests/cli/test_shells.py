"""Completion of sessions, calls and what filters ask for: the candidates, and the shells themselves on a terminal."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli import recorded
from tests.cli.recorded import COURSE, REPORT, call_id
from tests.support import warm

from sessiontap import trace as log

SECONDS = 60


@pytest.fixture
def folder(own_place: Path) -> Path:
    folder = recorded.write(own_place / ".sessiontap" / "trace", recorded.calls())
    log.open(folder).query_sums()  # as any command leaves it: with an index
    return folder


def candidates(line: str, shell: str = "bash", **more: str) -> list[str]:
    """What the program answers a shell's script."""
    environ = {
        **os.environ,
        "_SESSIONTAP_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": line,
        "COMP_BREAKS": "",
        "COMP_CWORD": str(len(line.split(" ")) - 1),
        **more,
    }
    done = warm.sessiontap().run([], environ)
    assert (done.returncode, done.stderr) == (0, b"")
    return [each.removeprefix("plain,") for each in done.stdout.decode().splitlines() if each]


CANDIDATES = {
    "sessions": ("show ", ["@1", "@2"]),
    "a session by its id": ("show 7d3", [COURSE]),
    "the session of a filter": ("ls --session night", [REPORT]),
    "sessions to export": ("export --format jsonl @", ["@1", "@2"]),
    "a session to prune": ("trace prune --session n", [REPORT]),
    "calls": ("cat @", ["@1", "@2", "@3", "@4", "@5"]),
    "a call by its id": (f"cat {call_id(3)[:20]}", [call_id(3)]),
    "steps": ("cat @2/", ["@2/0", "@2/1", "@2/2"]),
    "steps of a session by its id": ("rules explain nightly-report-0001/", [f"{REPORT}/0", f"{REPORT}/1"]),
    "the second of two": ("diff @1/0 @2/", ["@2/0", "@2/1", "@2/2"]),
    "sessions or calls": ("diff ", ["@1", "@2"]),
    "names": ("ls --name ", [r"Course\ outline", r"Nightly\ report"]),
    "a name in quotes": ('ls --name "Cou', ["Course outline"]),
    "paths": ("calls --path /o", ["/outline", "/outline/research"]),
    "models": ("calls --model gpt-4o-m", ["gpt-4o-mini", "gpt-4o-mini-2024-07-18"]),
    "tools": ("calls --tool ", ["web_search"]),
    "rules": ("calls --rule ", [r"course\ generator"]),
    "tags": ("calls --tag ", ["nightly"]),
    "users": ("calls --user a", ["ada"]),
    "providers": ("calls --provider ", ["openai"]),
    "processes": ("calls --process ", ["agent.mjs", "node", "python3", "report.py"]),
    "statuses": ("calls --status ", ["200", "2xx", "429", "4xx"]),
    "outcomes": ("calls --outcome ", ["http_error", "ok"]),
    "properties": ("ls --property ", ["mode=batch", r"mode=context\ mode"]),
    "values of a property": ("ls --property mode=b", ["mode=batch"]),
    "nothing that begins so": ("show x", []),
}


@pytest.mark.parametrize(("line", "expected"), CANDIDATES.values(), ids=CANDIDATES)
def test_candidates(folder: Path, line: str, expected: list[str]) -> None:
    assert candidates(f"sessiontap {line}") == expected


def test_bash_keeps_what_stands_before_its_own_word_breaks(folder: Path) -> None:
    assert candidates("sessiontap ls --property mode=", COMP_BREAKS="\"'@=:") == ["batch", r"context\ mode"]


def test_shells_that_show_it_are_told_what_a_candidate_is(folder: Path) -> None:
    assert candidates("sessiontap show ", "zsh") == [
        "plain", "@1", "Nightly report, 2 calls", "plain", "@2", "Course outline, 3 calls"
    ]  # fmt: skip
    assert candidates("sessiontap cat @1/", "fish", COMP_CWORD="@1/") == [
        "@1/0\tNightly report /report chat gpt-4o",
        "@1/1\tNightly report /report chat gpt-4o",
    ]


def test_what_may_be_another_by_now_is_not_described(folder: Path) -> None:
    newer = recorded.chat(9, session=("new", "New", "/new", 0), caller=None)
    recorded.write(folder, [newer])

    assert candidates("sessiontap show ", "zsh") == ["plain", "@1", "_", "plain", "@2", "_"]


@pytest.mark.parametrize("state", ["no log", "no index", "no database", "another's tables"])
def test_without_an_index_nothing_is_said(own_place: Path, state: str) -> None:
    index = own_place / ".sessiontap" / "trace" / "index.sqlite"
    if state != "no log":
        recorded.write(index.parent, recorded.calls())
    if state == "no database":
        index.write_bytes(b"no database")
    if state == "another's tables":
        index.write_bytes(b"")

    assert candidates("sessiontap show ") == []
    assert index.exists() == (state in ("no database", "another's tables"))


def test_a_trace_that_is_named_before_the_command_is_meant(folder: Path, tmp_path: Path) -> None:
    assert candidates(f"sessiontap --trace {tmp_path} show ") == []
    assert candidates(f"sessiontap show --trace {folder} ") == ["@1", "@2"]


def test_a_folder_may_have_any_name(own_place: Path) -> None:
    folder = recorded.write(own_place / "50% of what? #1", recorded.calls())
    log.open(folder).query_sums()

    assert candidates(f"sessiontap show --trace '{folder}' ") == ["@1", "@2"]


def test_few_modules_are_loaded_to_complete(folder: Path) -> None:
    code = "import sys; from sessiontap.cli.main import main; main(); print(*sys.modules, file=sys.stderr)"
    environ = {
        **os.environ,
        "_SESSIONTAP_COMPLETE": "bash_complete",
        "COMP_WORDS": "sessiontap show ",
    }
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "plain,@1\nplain,@2\n", done.stderr
    heavy = {"msgpack", "msgspec", "zstandard", "yaml", "rich", "mitmproxy", "sessiontap.llm", "sessiontap.rules"}
    assert heavy & set(done.stderr.split()) == set()


# -- the shells --------------------------------------------------------------------------------------------------------

STARTS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(sessiontap --show-completion bash)"'),
    "zsh": (
        ["zsh", "-f", "-i"],
        'autoload -Uz compinit; compinit -u -D; eval "$(sessiontap --show-completion zsh)"',
    ),
    "fish": (["fish", "--no-config", "-i"], "sessiontap --show-completion fish | source"),
}
TYPED = {
    "a session by its id": ("show 7d3\t", ["show", COURSE]),
    "a step of a session": ("cat @2/2\t", ["cat", "@2/2"]),
    "a tool": ("calls --tool we\t", ["calls", "--tool", "web_search"]),
    "a name with a space": ("ls --name Cou\t", ["ls", "--name", "Course outline"]),
    "a property": ("ls --property mode=b\t", ["ls", "--property", "mode=batch"]),
    "a property with a space": ("ls --property mode=c\t", ["ls", "--property", "mode=context mode"]),
}


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, shell: str, folder: Path) -> None:
        programs = folder / "programs"
        programs.mkdir()
        program = programs / "sessiontap"
        # It completes, and else says what it was called with.
        program.write_text(
            "#!/bin/sh\n"
            f'if [ -n "$_SESSIONTAP_COMPLETE" ] || [ "$1" = --show-completion ]; then exec {sys.executable} '
            '-m sessiontap.cli "$@"; fi\n'
            "printf 'called:'; printf '<%s>' \"$@\"; echo\n"
        )
        program.chmod(0o755)
        command, setup = STARTS[shell]
        environ = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "TERM": "dumb", "PS1": "> "}
        self._seen = ""
        self._child, self._terminal = pty.fork()
        if self._child == 0:
            os.execvpe(command[0], command, environ)
        self.type(setup + "\n")
        self.type("sessiontap rea''dy\n")
        self.wait_for("called:<ready>")

    def type(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + SECONDS
        while text not in self._seen:
            assert select.select([self._terminal], [], [], max(0.0, end - time.monotonic()))[0], self._seen
            self._seen += os.read(self._terminal, 4096).decode(errors="replace")
        self._seen = self._seen.partition(text)[2]

    def close(self) -> None:
        os.close(self._terminal)
        os.kill(self._child, 9)
        os.waitpid(self._child, 0)


@pytest.fixture(params=STARTS)
def terminal(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Iterator[Terminal]:
    if shutil.which(request.param) is None:
        pytest.skip(f"there is no {request.param}")
    terminal = Terminal(request.param, tmp_path)
    yield terminal
    terminal.close()


def test_the_shells_themselves_complete(terminal: Terminal) -> None:
    for typed, called in TYPED.values():
        terminal.type(f"sessiontap {typed}\n")
        terminal.wait_for("called:" + "".join(f"<{one}>" for one in called))
