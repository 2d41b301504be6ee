"""The command as a whole: help, version, completion, init, env, rules."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml
from tests.cli import recorded
from tests.cli.command import Run, runner
from tests.support import warm

import sessiontap
from sessiontap import trace as log
from sessiontap.cli import commands, local_proxies
from sessiontap.cli.commands import start
from sessiontap.cli.commands.start import starter_rules
from sessiontap.cli.local_proxies import Listener, RunningProxy
from sessiontap.cli.main import COMMANDS, app
from sessiontap.rules import lint, load_text

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


COMPLETIONS = {
    "a command": ("sessiontap ru", ["run", "rules"]),
    "a command of a command": ("sessiontap trace re", ["reindex"]),
    "an option": ("sessiontap ls --so", ["--sort"]),
    "a choice": ("sessiontap ls --sort sta", ["started"]),
}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(("line", "expected"), COMPLETIONS.values(), ids=COMPLETIONS)
def test_a_shell_completes(shell: str, line: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell's script sets these variables and reads the candidates from the output."""
    words = line.split(" ")
    monkeypatch.setenv("_SESSIONTAP_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(words) - 1))
    done = warm.sessiontap().run([], os.environ)
    lines = done.stdout.decode().splitlines()
    found = lines[1::3] if shell == "zsh" else [each.split(",")[1].split("\t")[0] for each in lines]
    assert (found, done.stderr) == (expected, b"")


def test_bash_itself_completes() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    code = """
    sessiontap() { "$PYTHON" -m sessiontap.cli "$@"; }
    export -f sessiontap
    eval "$(sessiontap --show-completion bash)"
    COMP_LINE='sessiontap tr'; COMP_POINT=${#COMP_LINE}
    _sessiontap_completion sessiontap_command
    echo "${COMPREPLY[*]}"
    """
    # The script runs its first argument by `env`, which knows files only.
    runs = Path("sessiontap_command")
    runs.write_text(f'#!/bin/sh\nexec {sys.executable} -m sessiontap.cli "$@"\n')
    runs.chmod(0o755)
    environ = {**os.environ, "PYTHON": sys.executable, "PATH": f"{Path.cwd()}:{os.environ['PATH']}"}
    done = subprocess.run([bash, "-c", code], env=environ, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("trace\n", "")


@pytest.mark.parametrize(
    ("shell", "file", "startup"),
    [
        ("bash", ".bash_completions/sessiontap.sh", ".bashrc"),
        ("zsh", ".zfunc/_sessiontap", ".zshrc"),
        ("fish", ".config/fish/completions/sessiontap.fish", None),
    ],
)
def test_completion_is_installed_once_where_the_shell_looks(
    run: Run, own_place: Path, shell: str, file: str, startup: str | None
) -> None:
    if startup:
        (own_place / startup).write_text("mine")
    for _ in range(2):
        status, out, err = run("--install-completion", shell)
        assert (status, err) == (0, "")
        assert str(own_place / file) in out
    assert (own_place / file).read_text() == run("--show-completion", shell)[1]
    if startup:
        mine, ours = (own_place / startup).read_text().splitlines()
        assert mine == "mine"
        assert Path(file).parts[0] in ours


@pytest.mark.parametrize(
    ("environ", "status", "says"),
    [
        ("/usr/bin/zsh", 0, "#compdef sessiontap"),
        ("/bin/tcsh", 2, "sessiontap: there is no completion for 'tcsh'"),
        ("", 2, "sessiontap: SHELL does not say which shell is yours"),
    ],
)
def test_the_users_shell_is_meant_if_none_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, environ: str, status: int, says: str
) -> None:
    monkeypatch.setenv("SHELL", environ)
    found = run("--show-completion")
    assert found[0] == status
    assert (found[1] or found[2]).startswith(says)


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


def test_init_writes_a_file_that_validates(run: Run, own_place: Path) -> None:
    status, out, _ = run("init")
    assert status == 0
    assert str(own_place / "rules.yaml") in out
    assert (own_place / "rules.yaml").read_text() == starter_rules()
    status, _, err = run("rules", "check")
    assert (status, "warning" in err) == (0, False)


def test_the_starter_is_valid_in_every_example_of_its_comments() -> None:
    text = "\n".join(
        line.replace("# ", "", 1) if line.lstrip().startswith(("# -", "#   ", "# hosts:", "# redact:")) else line
        for line in starter_rules().splitlines()
        if not line.startswith("#   sessiontap")
    )
    rules = load_text(text)
    labels = ["web search", "course generator", "not this one", "errands", "defaults"]
    assert [rule.label for rule in rules.rules] == labels
    assert rules.hosts
    assert rules.redact_patterns
    assert lint(rules) == []


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a pipe"])
def test_init_leaves_alone_what_is_no_file(run: Run, own_place: Path, make: Callable[[Path], None]) -> None:
    make(own_place / "rules.yaml")
    status, _, err = run("init", "--force")
    assert status == 1
    assert "exists and is not a file" in err
    status, _, err = run("rules", "check")
    assert status == 2
    assert "expected a file" in err


def test_init_does_not_overwrite(run: Run, own_place: Path) -> None:
    (own_place / "rules.yaml").write_text("mine")
    status, out, err = run("init")
    assert (status, out) == (1, "")
    assert err.splitlines()[1] == "hint: --force overwrites it"
    assert (own_place / "rules.yaml").read_text() == "mine"
    assert run("init", "--force")[0] == 0
    assert (own_place / "rules.yaml").read_text() == starter_rules()


def test_env_says_that_no_proxy_runs(run: Run, own_place: Path) -> None:
    status, out, err = run("env")
    assert status == 0
    assert out.splitlines()[0] == "export HTTPS_PROXY=http://127.0.0.1:8080"
    assert f"export SSL_CERT_FILE={own_place.parent}/sessiontap-ca-{os.getuid()}/ca-bundle-" in out
    assert err.startswith("sessiontap: no proxy runs here")


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("fish", "set -gx HTTPS_PROXY 'http://127.0.0.1:8080'"),
        ("pwsh", "$env:HTTPS_PROXY = 'http://127.0.0.1:8080'"),
        ("docker", " -e HTTPS_PROXY=http://host.docker.internal:8080 "),
    ],
)
def test_env_in_the_words_of_a_shell(run: Run, shell: str, line: str) -> None:
    assert line in run("env", "--shell", shell)[1]


def test_env_json(run: Run) -> None:
    assert json.loads(run("env", "--json")[1])["NODE_USE_ENV_PROXY"] == "1"


RULES = """\
version: 1
send: none
rules:
  - rule: course
    match: {process: node, tool_result: web_search}
    session: {path: /search}
  - rule: node
    match: {process: node}
    session: {name: Node, path: "/all/${model}"}
"""


def test_rules_check(run: Run, own_place: Path) -> None:
    (own_place / "rules.yaml").write_text(RULES)
    status, out, err = run("rules", "check")
    assert (status, out) == (0, "rules.yaml: 2 rules, valid\n")
    assert err == f"sessiontap: no proxy runs here; one that is started in {own_place} takes this file\n"


@pytest.mark.parametrize("how", ["argument", "--rules", "SESSIONTAP_RULES"])
def test_rules_check_of_a_named_file(run: Run, own_place: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    (own_place / "mine.yaml").write_text(RULES)
    if how == "SESSIONTAP_RULES":
        monkeypatch.setenv(how, "mine.yaml")
    arguments = {"argument": ["mine.yaml"], "--rules": ["--rules", "mine.yaml"]}.get(how, [])
    assert run("rules", "check", *arguments)[1] == "mine.yaml: 2 rules, valid\n"


def test_rules_check_says_what_is_wrong_and_where(run: Run, own_place: Path) -> None:
    (own_place / "rules.yaml").write_text("version: 1\nrules:\n  - sesion: {name: x}\n")
    status, out, err = run("rules", "check")
    assert (status, out) == (2, "")
    assert "rules.yaml:3:5: " in err
    assert "did you mean 'session'?" in err
    status, out, _ = run("rules", "check", "--json")
    report = json.loads(out)
    assert (status, report["valid"]) == (2, False)
    assert [(one["line"], one["column"], one["guess"]) for one in report["problems"]] == [(3, 5, "session")]


def test_rules_check_warns(run: Run, own_place: Path) -> None:
    (own_place / "rules.yaml").write_text(RULES + "  - rule: node\n    user: ada\n")
    status, _, err = run("rules", "check")
    assert status == 0
    assert err.startswith("sessiontap: warning: rules.yaml:10: rule 'node' has the name of an earlier rule")


@pytest.mark.parametrize("arguments", [["rules", "check"], ["rules", "check", "nosuch.yaml"]])
def test_rules_check_without_a_file(run: Run, arguments: list[str]) -> None:
    status, _, err = run(*arguments)
    assert status == 2
    assert err.startswith("sessiontap: there is no rules")


@pytest.fixture
def trace(own_place: Path) -> Path:
    return recorded.write(own_place / ".sessiontap" / "trace", recorded.calls()[:1])


def test_rules_explain(run: Run, own_place: Path, trace: Path) -> None:
    (own_place / "rules.yaml").write_text(RULES)
    status, out, err = run("rules", "explain", "@1")
    assert status == 0
    assert out == (
        f"call {recorded.call_id(1)} by rules.yaml\n"
        "\n"
        "not matched course (line 4)\n"
        "  yes  process.name: node   was agent.mjs, node\n"
        "  no   tool_result: web_search   was nothing\n"
        "\n"
        "matched     node (line 7)\n"
        "  yes  process.name: node   was agent.mjs, node\n"
        "  =    session.name Node\n"
        "  =    session.path /all/gpt-4o-mini\n"
        "\n"
        "result\n"
        "  session.name         Node   by node\n"
        "  session.id           auto\n"
        "  session.path         /all/gpt-4o-mini   by node\n"
        "  send                 none\n"
        "  capture              full\n"
    )
    assert err == (
        "sessiontap: when it was recorded, other rules set something: course generator\n"
        f"sessiontap: no proxy runs here; one that is started in {own_place} takes this file\n"
    )


@pytest.mark.parametrize(
    ("rule", "match", "result"),
    [
        pytest.param(
            "ignore: true",
            "may match   private (line 1, ignore)\n  may  process.name: x   was unknown\n",
            "  the call is left alone: private may match (process.name not known)\n",
            id="ignored",
        ),
        pytest.param(
            "capture: none",
            "may match   private (line 1)\n  may  process.name: x   was unknown\n",
            "  protected: private may match (process.name not known)\n",
            id="not recorded",
        ),
    ],
)
def test_rules_explain_says_which_rule_may_match(
    run: Run, own_place: Path, trace: Path, monkeypatch: pytest.MonkeyPatch, rule: str, match: str, result: str
) -> None:
    (own_place / "rules.yaml").write_text(f"rules: [{{rule: private, match: {{process: x}}, {rule}}}]")
    assert "may match" not in run("rules", "explain", "@1")[1]
    monkeypatch.setattr("sessiontap.cli.recorded_facts.caller_of", lambda call: None)
    status, out, _ = run("rules", "explain", "@1")
    assert status == 0
    assert match in out
    assert out.endswith(result)


def test_rules_explain_json(run: Run, own_place: Path, trace: Path) -> None:
    (own_place / "rules.yaml").write_text(RULES)
    explained: dict[str, Any] = json.loads(run("rules", "explain", "@1", "--json")[1])
    assert [(rule["rule"], rule["outcome"]) for rule in explained["rules"]] == [
        ("course", "not matched"),
        ("node", "matched"),
    ]
    assert explained["decision"]["name"] == "Node"
    assert explained["labels"]["path"] == "/all/gpt-4o-mini"


@pytest.mark.parametrize("key", ["corp-key-0123456789", None], ids=["set in this shell", "not set in this shell"])
def test_rules_explain_takes_a_key_of_the_proxys_as_set(
    run: Run, own_place: Path, trace: Path, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    if key is not None:
        monkeypatch.setenv("CORP_KEY", key)
    host = next(iter(log.open(trace).calls())).record["host"]
    (own_place / "rules.yaml").write_text(
        f"rules: [{{match: {{host: {host}}}, headers: {{set: {{X-Key: '${{proxy_env.CORP_KEY}}'}}}}}}]"
    )
    out = run("rules", "explain", "@1")[1]
    assert "  =    headers.set.X-Key ${proxy_env.CORP_KEY}\n" in out
    assert "  headers.set.X-Key    ${proxy_env.CORP_KEY}   by #1\n" in out
    assert out.endswith(
        "  assumed: CORP_KEY is set in the proxy's environment: no proxy runs here that could be asked\n"
        "  assumed: the server's certificate is verified (no ssl_insecure)\n"
    )
    explained = run("rules", "explain", "@1", "--json")[1]
    assert json.loads(explained)["proxy_env"] == {"CORP_KEY": None}
    assert json.loads(explained)["assumed"][0].startswith("CORP_KEY is set in the proxy's environment")
    assert "corp-key" not in out + explained


@pytest.mark.parametrize(
    ("name", "expected"),
    [("PATH", "PATH is set"), ("NO_SUCH_KEY", "NO_SUCH_KEY is not set, so what uses it is left out")],
)
def test_rules_explain_asks_the_running_proxy_which_keys_it_has(
    run: Run, own_place: Path, trace: Path, name: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = next(iter(log.open(trace).calls())).record["host"]
    file = own_place / "elsewhere.yaml"
    file.write_text(
        f"rules: [{{match: {{host: {host}}}, headers: {{set: {{X-Key: '${{proxy_env.{name}}}'}}}}}}]"
    )
    listener = Listener("regular", "127.0.0.1", 8080)
    proxy = RunningProxy(os.getpid(), 0.0, None, None, (listener,), own_place, trace, file)
    monkeypatch.setattr(local_proxies, "usable", lambda: iter([proxy]))
    _, out, err = run("rules", "explain", "@1")
    assert f"  proxy: {expected}\n" in out
    assert os.environ["PATH"] not in out
    assert f"sessiontap: the proxy that runs (pid {os.getpid()}) uses this file" in err


def test_rules_explain_shows_values_in_plain_words(run: Run, own_place: Path, trace: Path) -> None:
    (own_place / "rules.yaml").write_text(
        "rules: [{session: {id: ['${env.NO}', native, process, run-1], idle: 30m}, state: {retries: 0, note: null},"
        "tags: [a, b], send: none, headers: {remove: [X-*]}, gateway: helicone}]"
    )
    out = run("rules", "explain", "@1")[1]
    for line in (
        "  =    session.id native, process, run-1",
        "  =    state.retries 0",
        "  =    state.note null",
        "  =    send none",
        "  session.id           native, process, run-1   by #1",
        "  session.idle         1800 s   by #1",
        "  tags                 a, b   by #1",
        "  headers.remove       X-*   by #1",
        "  assumed: the proxy can use the gateway helicone: it has its key",
    ):
        assert f"{line}\n" in out
    assert not re.search(r"\w+\(", out), "the name of a class"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_rules_schema_accepts_the_starter(run: Run, options: list[str]) -> None:
    schema = json.loads(run("rules", "schema", *options)[1])
    jsonschema.validate(yaml.safe_load(starter_rules()), schema)
