"""How a proxy starts: with what the user should know said, or not at all and with one sentence why."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.lab import PYTHON, ROOT, SCRIPTS, Lab, Proxy, own_environment, wait_until
from tests.support.gate import PATIENCE
from tests.support.llm_server import LlmService

from sessiontap.demo.proxy_process import MITMDUMP, mitmdump
from sessiontap.proxy import requirements

MAIN = ROOT / "addon" / "main.py"
QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
HEADERS = {"authorization": "Bearer sk-test"}
BROKEN = "version: 1\nrules:\n  - sesion: {name: x}\n"


def start(
    folder: Path,
    confdir: Path,
    options: Mapping[str, str | Path] | None = None,
    environment: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a mitmdump that is to end by itself."""
    return subprocess.run(
        [*mitmdump(MAIN, options={"confdir": confdir, **(options or {})}), *arguments],
        cwd=folder,
        env={**own_environment(), "HOME": str(folder), **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """What it said of its own accord, once it has been seen to have ended as it should."""
    everything = done.stdout + done.stderr
    assert done.returncode != 0, everything
    assert "Traceback" not in everything
    (said,) = [line for line in everything.splitlines() if "sessiontap: " in line]
    return said[said.index("sessiontap: ") :]


@pytest.mark.parametrize(
    ("options", "environment", "words"),
    [
        pytest.param(
            {"session_rules": "nowhere.yaml"},
            {},
            ["nowhere.yaml (named by --set session_rules) does not exist", "sessiontap init"],
            id="rules that are named and missing",
        ),
        pytest.param(
            {},
            {"SESSIONTAP_RULES": "nowhere.yaml"},
            ["nowhere.yaml (named by SESSIONTAP_RULES) does not exist"],
            id="rules that the environment names",
        ),
        pytest.param(
            {"session_rules": "broken.yaml"},
            {},
            ["broken.yaml:3:5: rules[0].sesion", "session"],
            id="rules that do not validate",
        ),
        pytest.param({"session_rules": "pipe"}, {}, ["pipe:1:1: this is a named pipe"], id="rules from a pipe"),
        pytest.param(
            {"session_trace": "a-file"},
            {},
            ["the trace folder", "a-file cannot be written", "--set session_trace="],
            id="a file in the place of the trace folder",
        ),
        pytest.param(
            {"session_trace": "/proc/sessiontap"},
            {},
            ["the trace folder /proc/sessiontap cannot be written", "--set session_trace="],
            id="a trace folder that cannot be made",
        ),
        pytest.param(
            {"session_fsync": "banana"},
            {},
            ["session_fsync='banana' is not understood", "'always', 'never'"],
            id="a value that an option has not",
        ),
        pytest.param(
            {"session_rulez": "x"},
            {},
            ["no option 'session_rulez'", "session_rules"],
            id="an option that there is not",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_no_proxy(
    tmp_path: Path, confdir: Path, options: dict[str, str], environment: dict[str, str], words: list[str]
) -> None:
    (tmp_path / "broken.yaml").write_text(BROKEN, encoding="utf-8")
    (tmp_path / "a-file").touch()
    os.mkfifo(tmp_path / "pipe")
    said = complaint(start(tmp_path, confdir, options, environment))
    for word in words:
        assert word in said


MISSING = """
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {modules!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""
OLD = "import mitmproxy.version; mitmproxy.version.VERSION = '11.1.3'"


@pytest.mark.parametrize(
    ("site", "needs", "install"),
    [
        pytest.param(MISSING.format(modules=["msgpack"]), ["the package msgpack, which is missing"], "msgpack"),
        pytest.param(
            MISSING.format(modules=["yaml", "re2"]),
            ["the package PyYAML", "the package google-re2"],
            "PyYAML google-re2",
        ),
        pytest.param(OLD, ["mitmproxy 12.2.1 or newer, and 11.1.3 is installed"], "'mitmproxy>=12.2.1'"),
        pytest.param(
            OLD + MISSING.format(modules=["msgspec"]),
            ["mitmproxy 12.2.1 or newer", "the package msgspec"],
            "'mitmproxy>=12.2.1' msgspec",
        ),
    ],
    ids=["a package", "two packages", "an old mitmproxy", "an old mitmproxy without a package"],
)
@pytest.mark.parametrize("how", ["mitmdump -s", "sessiontap run", "sessiontap exec"])
def test_all_that_is_missing_or_too_old_is_one_sentence_and_nothing_runs(
    tmp_path: Path, confdir: Path, site: str, needs: list[str], install: str, how: str
) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(site, encoding="utf-8")
    environ = {"PYTHONPATH": os.pathsep.join([str(folder), own_environment()["PYTHONPATH"]]), "HOME": str(tmp_path)}
    if how == "mitmdump -s":
        done = start(tmp_path, confdir, environment=environ)
    else:
        command = [PYTHON, "-m", "sessiontap.cli", *how.split()[1:], *(["echo", "ran"] if "exec" in how else [])]
        done = subprocess.run(
            command, cwd=tmp_path, env=own_environment() | environ, capture_output=True, text=True, check=False
        )
    said = complaint(done)
    assert "ran" not in done.stdout.split()
    for words in needs:
        assert words in said
    assert f"Install with: {PYTHON} -m pip install {install}" in said


def test_the_versions_that_are_needed_are_those_of_the_package() -> None:
    declared = tomllib.loads((MAIN.parents[1] / "pyproject.toml").read_text())["project"]["dependencies"]
    oldest = dict(one.split(">=", 1) for one in declared if ">=" in one)
    for _, distribution, version, _ in requirements.NEEDS:
        assert distribution in oldest
        assert version is None or ".".join(map(str, version)) == oldest[distribution].partition(",")[0]


def test_a_python_that_is_too_old(tmp_path: Path) -> None:
    program = """
import runpy, sys
sys.version_info = (3, 11, 9, "final", 0)
runpy.run_path(sys.argv[1])
"""
    done = subprocess.run(
        [PYTHON, "-c", program, str(MAIN)], env=own_environment(), capture_output=True, text=True, check=False
    )
    said = complaint(done)
    assert "needs Python 3.12 or newer" in said
    assert "3.11" in said
    assert "scripts/demo" in said


def test_asked_for_its_options_it_lists_them_and_starts_nothing(tmp_path: Path, confdir: Path) -> None:
    done = start(tmp_path, confdir, {"session_trace": tmp_path / "trace"}, arguments=["--options"])
    assert done.returncode == 0, done.stderr
    for name in ("session_rules", "session_trace", "session_fsync"):
        assert f"{name}:" in done.stdout
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def ask(proxy: Proxy) -> int:
    with proxy.client() as app:
        url = "https://api.openai.com/v1/chat/completions"
        return app.post(url, json=QUESTION, headers=HEADERS).status_code


def says(*words: str) -> Callable[[str], bool]:
    return lambda line: all(word in line for word in words)


def test_without_any_rules_it_works_and_says_so(lab: Lab) -> None:
    server = lab.upstream(LlmService())
    proxy = lab.proxy(rules=None, program=MITMDUMP)
    proxy.process.wait_line(says("there is no rules.yaml here", "sessiontap init"))
    assert ask(proxy) == 200
    (call,) = proxy.stop()
    assert call.record["session"]["source"] == "conversation"  # this process runs the upstream: it is a server
    assert [name for name, _ in server.requests[0].headers if name.lower().startswith("helicone")] == []


def test_listening_on_all_interfaces_is_warned_about(lab: Lab) -> None:
    proxy = lab.proxy(options={"mode": "regular@0.0.0.0:0"}, program=MITMDUMP)
    assert proxy.process.wait_line(says("listens on all interfaces", "--listen-host 127.0.0.1"))


def test_listening_here_alone_is_not(lab: Lab) -> None:
    proxy = lab.proxy(program=MITMDUMP)
    proxy.stop()
    assert "interfaces" not in proxy.process.output


def test_a_state_file_says_where_it_listens_for_as_long_as_it_does(lab: Lab) -> None:
    proxy = lab.proxy(program=MITMDUMP)
    home = proxy.rules_file.parent
    state = home / ".sessiontap" / "run" / f"{proxy.process.pid}.json"
    wait_until(state.exists)
    found = json.loads(state.read_text())
    assert found["listeners"] == [{"mode": "regular", "host": "127.0.0.1", "port": proxy.process.port}]
    assert (found["pid"], found["uid"], found["private_to"]) == (proxy.process.pid, os.getuid(), None)
    assert (found["trace"], found["rules"]) == (str(proxy.trace_folder), str(proxy.rules_file))
    assert state.stat().st_mode & 0o777 == 0o600
    assert proxy.process.stop() == 0
    assert not state.exists()


def options_in_force(proxy: Proxy) -> Any:
    line = proxy.process.wait_line(lambda text: text.startswith("OPTIONS "))
    return json.loads(line.removeprefix("OPTIONS "))


def test_mitmproxys_own_options_suit_llm_calls(lab: Lab) -> None:
    proxy = lab.proxy(scripts=[SCRIPTS / "say_options.py"], program=MITMDUMP)
    assert options_in_force(proxy) == {"connection_strategy": "lazy", "tcp_timeout": 7200, "flow_detail": 0}


def test_but_what_the_user_set_stays(lab: Lab, confdir: Path, tmp_path: Path) -> None:
    own = tmp_path / "confdir"
    shutil.copytree(confdir, own)
    (own / "config.yaml").write_text("tcp_timeout: 600\n", encoding="utf-8")  # mitmproxy's own default
    options = {"connection_strategy": "eager", "flow_detail": "1", "confdir": own}
    proxy = lab.proxy(options=options, scripts=[SCRIPTS / "say_options.py"], program=MITMDUMP)
    assert options_in_force(proxy) == {"connection_strategy": "eager", "tcp_timeout": 600, "flow_detail": 1}


def test_an_entry_script_that_changes_or_vanishes(lab: Lab, tmp_path: Path) -> None:
    lab.upstream(LlmService())
    entry = tmp_path / "main.py"
    shutil.copy(MAIN, entry)
    proxy = lab.proxy({"version": 1, "rules": [{"session": {"id": "process"}}]}, entry=entry, program=MITMDUMP)
    assert ask(proxy) == 200
    proxy.take()

    soon = entry.stat().st_mtime + 10
    os.utime(entry, (soon, soon))  # saved again: mitmproxy loads it anew
    loaded = f"Loading script {entry}"
    proxy.process.wait_line(lambda _: sum(loaded in line for line in proxy.process.lines) > 1)
    assert ask(proxy) == 200
    (after,) = proxy.take()
    assert after.record["session"]["step"] == 1  # the state is kept

    entry.unlink()
    line = proxy.process.wait_line(says("the addon was unloaded"))
    assert "unrecorded" in line
    assert ask(proxy) == 200  # the app notices nothing
    assert len(proxy.stop()) == 2
