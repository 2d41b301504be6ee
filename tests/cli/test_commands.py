"""The command as a whole: help, version, usage errors, what it loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from tests.cli.command import Run, runner

import sessiontap
from sessiontap.cli import commands
from sessiontap.cli.commands import start
from sessiontap.cli.main import COMMANDS, app

CONTEXT = click.Context(app)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(capsys, monkeypatch)


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"sessiontap {sessiontap.__version__}\n", "")


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_names_every_command(run: Run, arguments: list[str]) -> None:
    status, out, err = run(*arguments)
    assert (status, err) == (0, "")
    for command in COMMANDS:
        assert f"\n  {command} " in out


@pytest.mark.parametrize("arguments", [[command] for command in COMMANDS if command != "run"])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_of_a_command_has_examples(run: Run, arguments: list[str], option: str) -> None:
    status, out, _ = run(*arguments, option)
    assert status == 0
    assert f"\n  Examples:\n    sessiontap {' '.join(arguments)}" in out.replace('eval "$(sessiontap', "sessiontap")


NAMED = {name: app.get_command(CONTEXT, name) for name in COMMANDS}
UNDER = [[name, under] for name, one in NAMED.items() if isinstance(one, click.Group) for under in one.commands]
LISTED = [*([name] for name in COMMANDS), *UNDER]
"""Every command, by the words that name it."""


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("page", [[], *LISTED], ids=" ".join)
def test_a_help_page_says_everything_in_the_columns_there_are(
    run: Run, page: list[str], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out, _ = run(*page, "--help")
    text, _, _ = out.partition("Examples:")
    assert max(map(len, text.splitlines())) <= columns


@pytest.mark.parametrize("words", LISTED, ids=" ".join)
def test_the_list_of_commands_gives_each_a_whole_sentence_on_a_line(
    run: Run, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, page, _ = run(*words, "--help")
    sentence = page.split("\n\n")[1].strip()
    _, out, _ = run(*words[:-1], "--help")
    (line,) = [line for line in out.splitlines() if line.startswith(f"  {words[-1]} ")]
    assert line.split(maxsplit=1)[1] == sentence.partition(". ")[0].rstrip(".") + "."


@pytest.mark.parametrize(
    ("page", "has_them"), [(["ls"], True), (["trace", "prune"], True), (["exec"], False), (["waste"], False)]
)
def test_filters_stand_apart_on_the_help_page_of_a_command_that_takes_them(
    run: Run, page: list[str], has_them: bool
) -> None:
    _, out, _ = run(*page, "--help")
    assert ("Filters, which must all hold:" in out) is has_them


def test_the_help_of_run_names_what_people_need_and_where_the_rest_is(run: Run) -> None:
    status, out, _ = run("run", "-h")
    assert status == 0
    needed = ("--listen-port", "--mode", "--rules", "--trace", "--workers", "-w,", "--set", "--help-all", "--options")
    assert [name for name in needed if name not in out] == []


def test_all_options_of_mitmdump_are_a_page_of_their_own() -> None:
    done = subprocess.run([sys.executable, "-m", "sessiontap.cli", "run", "--help-all"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--map-local" in done.stdout


@pytest.mark.parametrize(
    ("given", "arguments", "expected"),
    [
        pytest.param({"session_rules": Path("a")}, [], ["--set", "session_rules=a"], id="one"),
        pytest.param({"session_rules": None}, [], [], id="none"),
        pytest.param({"session_rules": Path("a")}, ["--set", "session_rules=b"], [], id="set as well"),
        pytest.param({"session_trace": Path("a")}, ["--set=session_trace=b"], [], id="set as well, in one word"),
    ],
)
def test_options_of_run_become_mitmproxys(given: Any, arguments: list[str], expected: list[str]) -> None:
    assert list(start._settings(given, arguments)) == expected


@pytest.mark.parametrize(
    ("arguments", "error", "page"),
    [
        (["ls", "--limit"], "option '--limit' requires an argument", "sessiontap ls"),
        (["trace", "info", "--nosuch"], "no such option '--nosuch'", "sessiontap trace info"),
        (["l"], "no such command 'l'. Did you mean 'ls'?", "sessiontap"),
        (["rules"], "missing command", "sessiontap rules"),
        (["show"], "missing argument 'SESSION'", "sessiontap show"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_usage_error_names_its_help_page(run: Run, arguments: list[str], error: str, page: str) -> None:
    assert run(*arguments) == (2, "", f"sessiontap: {error}\nhint: {page} -h shows what it takes\n")


@pytest.mark.parametrize("before", [True, False], ids=["before the command", "behind it"])
def test_the_trace_folder_can_be_named_on_both_sides_of_a_command(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    monkeypatch.setenv("SESSIONTAP_TRACE", str(tmp_path / "other"))
    named = ["--trace", str(tmp_path / "mine")]
    arguments = [*named, "trace", "info"] if before else ["trace", "info", *named]
    assert f"there is no trace folder {tmp_path / 'mine'}" in run(*arguments)[2]
    assert f"there is no trace folder {tmp_path / 'other'}" in run("trace", "info")[2]


def test_nothing_heavy_is_loaded_before_a_command_asks_for_it() -> None:
    code = "import sys, sessiontap.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"mitmproxy", "msgpack", "yaml", "sessiontap.trace", "sessiontap.llm", "rich.table"} & set(loaded) == set()


def test_exec_loads_nothing_heavy_for_a_program_without_calls() -> None:
    code = (
        "import sys; from sessiontap.cli import direct_connections, environment, local_proxies, summary, unrecorded;"
        "summary.summarize(summary.no_calls, None, 1, 0); unrecorded.after_run({}, (), calls=0, whole=False);"
        "print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"msgpack", "zstandard", "yaml", "http.client", "sessiontap.llm", "sessiontap.rules", "sessiontap.prices"}
    assert heavy & set(loaded) == set()


def test_a_command_loads_no_others_module() -> None:
    code = "import sys; from sessiontap.cli.main import main; main(['init', '-h']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    of_commands = {name for name in loaded if name.startswith("sessiontap.cli.commands.")}
    assert of_commands == {"sessiontap.cli.commands.start"}


def test_the_list_of_commands_names_every_module() -> None:
    modules = {path.stem for path in Path(commands.__file__).parent.glob("*.py")} - {"__init__"}
    assert modules == set(COMMANDS.values())
