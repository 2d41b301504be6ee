"""Each program runs by `exec` as its library's readme has it, and the log holds exactly the calls that it made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.apps.app import App, asked
from tests.apps.matrix import APPS, IGNORE_THE_PROXY, LLM_SERVERS_OF_THIS_MACHINE, TRUST_THEIR_OWN, VLLM
from tests.apps.stage import UNKNOWN_HOST, AppStage, headers_of_log, headers_received, run_by_exec, slow_provider
from tests.e2e.lab import Lab
from tests.support.all_providers import AllProviders

from sessiontap import trace
from sessiontap.demo.certs import Authority
from sessiontap.units import plural


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, authority: Authority, confdir: Path) -> Iterator[AppStage]:
    folder = tmp_path_factory.mktemp("apps")
    lab = Lab(folder, authority, confdir)
    yield AppStage(lab, folder)
    lab.close()


@pytest.fixture
def lab(tmp_path: Path, authority: Authority, confdir: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, authority, confdir)
    yield lab
    lab.close()


@pytest.mark.parametrize("app", [pytest.param(app, id=app.id) for app in APPS])
def test_recorded(stage: AppStage, tmp_path: Path, app: App) -> None:
    ended = stage.run(app.command(tmp_path), tmp_path)
    assert (ended.stdout, ended.status) == (app.prints, app.status), ended
    assert sorted(map(asked, ended.calls), key=repr) == sorted(app.expected, key=repr)
    for call in ended.calls:
        record = call.record
        assert call.caller is not None
        assert record["session"]["name"] == call.caller["name"]
        assert record["outcome"] == "ok"
        assert (record["time_to_first_token"] is not None) == record["llm"]["stream"]
    assert "EnvHttpProxyAgent is experimental" not in ended.stderr  # of a variable of ours
    assert headers_received(ended.received) == headers_of_log(ended.calls)
    assert f"sessiontap: {plural(len(app.calls), 'call')} in {plural(app.sessions, 'session')}" in ended.stderr


@pytest.mark.parametrize("app", [pytest.param(app, id=app.id) for app in LLM_SERVERS_OF_THIS_MACHINE])
def test_an_llm_server_of_this_machine(lab: Lab, tmp_path: Path, app: App) -> None:
    """By a proxy of its own, which `exec` tells of the server."""
    address = f"127.0.0.1:{lab.upstream(AllProviders(), (), tls=False).port}"
    more = {"OLLAMA_HOST": f"http://{address}", "VLLM_URL": f"http://{address}/v1"}
    done = run_by_exec(app.command(tmp_path), tmp_path, tmp_path, ("--host", address), more)
    assert (done.stdout, done.returncode) == (app.prints, app.status), done.stderr
    calls = trace.open(tmp_path / ".sessiontap" / "trace").calls(newest_first=False)
    assert [asked(call) for call in calls] == app.expected


@pytest.mark.parametrize("app", [pytest.param(app, id=app.id) for app in IGNORE_THE_PROXY])
def test_ignores_the_proxy(stage: AppStage, tmp_path: Path, app: App) -> None:
    """`exec` says so, and names --force, by which its calls are recorded: test_capture.py."""
    with slow_provider() as address:
        ended = stage.run(app.command(tmp_path), tmp_path, providers=address)
    assert ended.calls == []
    assert "sessiontap: no LLM call was seen\n" in ended.stderr
    assert re.search(
        rf"sessiontap: not recorded: {re.escape(app.program)} \(pid \d+\) connects directly to api.openai.com:443: "
        r"it ignores HTTPS_PROXY \(`exec --force` captures it\)",
        ended.stderr,
    ), ended


@pytest.mark.parametrize("app", [pytest.param(app, id=app.id) for app in TRUST_THEIR_OWN])
def test_trusts_certificates_of_its_own_alone(stage: AppStage, tmp_path: Path, app: App) -> None:
    """Its call fails as the first ones to a host do, and `exec` says why."""
    ended = stage.run(app.command(tmp_path), tmp_path)
    assert ended.status != 0
    assert ended.calls == []
    assert re.search(
        rf"sessiontap: not recorded: {re.escape(app.program)} \(pid \d+\) to api.openai.com:443, .*: "
        "it refused the proxy's certificate, and that connection failed",
        ended.stderr,
    ), ended


def test_a_host_that_nobody_has_named(stage: AppStage, tmp_path: Path) -> None:
    """Its certificate is the user's affair. The call passes as it is, and `exec` says how it would be recorded."""
    more = {"SSL_CERT_FILE": str(stage.ca_of_upstream), "VLLM_URL": f"https://{UNKNOWN_HOST}/v1"}
    ended = stage.run(VLLM.command(tmp_path), tmp_path, more=more)
    assert (ended.stdout, ended.status, ended.calls) == (VLLM.prints, 0, []), ended
    assert headers_received(ended.received) == {(None, None, None): 1}
    assert "sessiontap: no LLM call was seen\n" in ended.stderr
    assert "ask_vllm.py (pid " in ended.stderr
    assert f" to {UNKNOWN_HOST}:443, 1 connection" in ended.stderr, ended
    why = f"not known as an LLM's host, so it was not decrypted. To record it: --host {UNKNOWN_HOST}"
    assert why in ended.stderr


def test_plain_http_to_a_host_that_nobody_has_named(stage: AppStage, tmp_path: Path) -> None:
    ended = stage.run(VLLM.command(tmp_path), tmp_path, more={"VLLM_URL": f"http://{UNKNOWN_HOST}:8000/v1"})
    assert (ended.stdout, ended.status) == (VLLM.prints, 0), ended
    assert list(map(asked, ended.calls)) == VLLM.expected
