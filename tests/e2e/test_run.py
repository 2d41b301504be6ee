"""`sessiontap run` takes mitmdump's command line, and every part of it does what it does there."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.io import FlowReader
from tests.e2e.lab import RUN, SCRIPTS, Lab, Proxy, own_environment, run_to_its_end
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE
from tests.support.llm_server import LlmService

from sessiontap import own_python
from sessiontap.cli import local_proxies
from sessiontap.demo.proxy_process import SESSIONTAP_RUN, ProxyProcess

CHAT = "https://api.openai.com/v1/chat/completions"
QUESTION: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
KEY = {"authorization": "Bearer sk-test"}


def run(lab: Lab, *arguments: str, **options: Any) -> Proxy:
    """`sessiontap run` with these arguments behind the lab's own."""
    return lab.proxy(**RUN, arguments=arguments, **options)


def ask(proxy: Proxy, url: str = CHAT) -> Any:
    with proxy.client() as app:
        return app.post(url, json=QUESTION, headers=KEY)


def hosts_in(file: Path) -> list[str]:
    with file.open("rb") as flows:
        return [flow.request.host for flow in FlowReader(flows).stream()]


async def answers_what_it_got(request: Request, respond: Respond) -> None:
    await request.body()
    said = {"target": request.target, "x": request.headers.get("x-added"), "choices": []}
    await respond.whole(200, json.dumps(said).encode(), [("content-type", "application/json")])


def test_a_call_is_recorded_and_the_calls_options_of_mitmproxy_suit_it(lab: Lab) -> None:
    lab.upstream(LlmService())
    proxy = lab.proxy(program=SESSIONTAP_RUN, entry=None, scripts=[SCRIPTS / "say_options.py"])
    line = proxy.process.wait_line(lambda text: text.startswith("OPTIONS "))
    expected = {"connection_strategy": "lazy", "tcp_timeout": 7200, "flow_detail": 0}
    assert json.loads(line.removeprefix("OPTIONS ")) == expected
    assert ask(proxy).status_code == 200
    (call,) = proxy.stop()
    assert call.record["llm"]["request_model"] == "gpt-4o"
    assert CHAT not in proxy.process.output  # mitmdump's own lines hold URLs with their keys


def test_flows_are_saved_filtered_shown_and_read_again(lab: Lab, tmp_path: Path) -> None:
    lab.upstream(LlmService())
    flows, har = tmp_path / "flows", tmp_path / "calls.har"
    arguments = ["-w", str(flows), "--set", f"hardump={har}", "--flow-detail", "1", "~d openai"]
    proxy = run(lab, *arguments)
    assert ask(proxy).status_code == 200
    assert ask(proxy, "https://api.anthropic.com/v1/chat/completions").status_code == 400  # not its wire format
    assert len(proxy.stop()) == 2
    assert hosts_in(flows) == ["api.openai.com"]
    assert [one["request"]["url"] for one in json.loads(har.read_text())["log"]["entries"]] == [CHAT]
    shown = [line for line in proxy.process.lines if "POST https://" in line]
    assert len(shown) == 1
    assert CHAT in shown[0]

    again = tmp_path / "again"
    done = run_to_its_end(tmp_path, "-n", "-r", str(flows), "-w", str(again))
    assert done.returncode == 0, done.stdout
    assert hosts_in(again) == ["api.openai.com"]


def test_requests_are_changed_as_the_options_say(lab: Lab) -> None:
    lab.upstream(answers_what_it_got, hosts=["mapped.example"])
    proxy = run(
        lab,
        *("--modify-headers", "/~q/x-added/yes"),
        *("--map-remote", "|api.openai.com/v1|mapped.example/v2"),
        *("--modify-body", "/~s/choices/chosen"),
    )
    assert ask(proxy).json() == {"target": "/v2/chat/completions", "x": "yes", "chosen": []}
    (call,) = proxy.stop()
    assert call.record["request"]["url"] == CHAT


def test_a_reverse_proxy(lab: Lab) -> None:
    lab.upstream(LlmService())
    proxy = run(lab, "--mode", "reverse:https://api.openai.com", "--set", "keep_host_header=false")
    assert ask_directly(proxy).status_code == 200
    # Whoever asks whether it is up asks the model's server, too.
    assert "gpt-4o" in [call.record["llm"].get("request_model") for call in proxy.stop()]


def ask_directly(proxy: Proxy) -> Any:
    import httpx2

    url = f"{proxy.url}/v1/chat/completions"
    return httpx2.post(url, json=QUESTION, headers=KEY, trust_env=False, timeout=PATIENCE)


def test_a_script_changes_an_option_while_it_runs(lab: Lab, tmp_path: Path) -> None:
    script = tmp_path / "later.py"
    script.write_text(
        "from mitmproxy import ctx\n"
        "def response(flow):\n"
        "    ctx.options.update(modify_headers=['/~q/x-added/later'])\n"
        "    print('CHANGED', flush=True)\n"
    )
    lab.upstream(answers_what_it_got)
    proxy = run(lab, "-s", str(script))
    assert ask(proxy).json()["x"] is None
    proxy.process.wait_line(lambda line: line == "CHANGED")
    assert ask(proxy).json()["x"] == "later"


def test_quiet_is_quiet(tmp_path: Path, confdir: Path) -> None:
    arguments = ["-q", "--listen-host", "127.0.0.1", "-p", "0", "--set", f"confdir={confdir}"]
    environment = {**own_environment(), "HOME": str(tmp_path)}
    with subprocess.Popen(
        own_python.command(*SESSIONTAP_RUN, *arguments),
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            assert local_proxies.wait_until_ready(process, 60, tmp_path / ".sessiontap" / "run") is not None
        finally:
            process.terminate()
        assert process.stdout is not None
        assert process.stdout.read() == b""
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--options"], 0, ["session_rules:", "modify_headers:", "dns_name_servers:", "save_stream_file:"]),
        (["--modify-headers", "/~nonsense/a/b"], 1, ["Cannot parse modify_headers option"]),
        (["~nonsense"], 1, ["Invalid filter expression"]),
    ],
    ids=["options", "a bad value", "a bad filter"],
)
def test_what_it_prints_and_refuses(tmp_path: Path, arguments: Sequence[str], status: int, words: list[str]) -> None:
    done = run_to_its_end(tmp_path, *arguments)
    assert done.returncode == status, done.stdout
    for word in words:
        assert word in done.stdout
    assert "Traceback" not in done.stdout


def test_without_a_home_that_can_be_written_it_starts_and_says_where_its_files_are(lab: Lab, tmp_path: Path) -> None:
    home = "/dev/null"
    lab.upstream(LlmService())
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    usual = {"confdir": None, "session_trace": None}
    environment = {"TMPDIR": str(temporary)}
    proxy = lab.proxy(program=SESSIONTAP_RUN, entry=None, home=home, environment=environment, options=usual)
    instead = temporary / f"sessiontap-{os.geteuid()}"
    line = proxy.process.wait_line(lambda text: f"{home}/.sessiontap cannot be written" in text)
    assert f"what Sessiontap keeps is in {instead}" in line
    proxy.ca, proxy.trace_folder = instead / "mitmproxy" / "mitmproxy-ca-cert.pem", instead / "trace"
    assert ask(proxy).status_code == 200
    assert len(proxy.stop()) == 1
    assert instead.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("more", [[], ["--workers", "2"]], ids=["one process", "workers"])
def test_if_the_default_port_is_taken_the_next_free_one_is_said_and_found(tmp_path: Path, more: list[str]) -> None:
    environ = own_environment() | {"HOME": str(tmp_path)}
    command = [*own_python.command(*SESSIONTAP_RUN), "--listen-host", "127.0.0.1", *more]
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # another program may have it
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        with ProxyProcess(command, tmp_path, environment=environ) as proxy:
            proxy.wait_line(lambda line: f"port 8080 is taken, so the proxy listens at {proxy.port}." in line)
            (state,) = (tmp_path / ".sessiontap" / "run").glob("*.json")
            found = local_proxies.read(state)
    assert proxy.port > 8080
    assert found is not None
    assert found.url == f"http://127.0.0.1:{proxy.port}"


def test_a_port_that_is_named_and_taken_ends_the_start(tmp_path: Path) -> None:
    environ = own_environment() | {"HOME": str(tmp_path)}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [*own_python.command(*SESSIONTAP_RUN), "--listen-host", "127.0.0.1", "-p", port]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert f"failed to listen on 127.0.0.1:{port}" in done.stdout + done.stderr
