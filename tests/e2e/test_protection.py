"""Rules that keep calls out of the log, where a fact that they ask for is not known: nothing is recorded by mistake."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.e2e.lab import PYTHON, SCRIPTS, Lab, Proxy, own_environment
from tests.e2e.test_interception import outsider
from tests.support.dialogue import Request, Respond
from tests.support.gate import PATIENCE

from sessiontap.cli.main import main
from sessiontap.demo.certs import Authority
from sessiontap.trace import RecordedCall

CHAT = "https://api.openai.com/v1/chat/completions"
JSON = {"content-type": "application/json"}


async def greet(request: Request, respond: Respond) -> None:
    await request.body()
    await respond.whole(200, b'{"hello": true}', list(JSON.items()))


def labels(call: RecordedCall) -> tuple[bool, bool]:
    """Whether a call was recorded with its content, and whether that it was protected is on it."""
    return call.request_body() is not None, "protected" in call.record["flags"]


# -- many programs at once --------------------------------------------------------------------------------------------

PROGRAMS = 30
CALLS = 5
NAMES = ("private.py", "open.py")
PROGRAM = f"""
import http.client, ssl, sys
trust = ssl.create_default_context(cafile=sys.argv[2])
app = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[1]), timeout={PATIENCE * 3}, context=trust)
app.set_tunnel("api.openai.com", 443)
print("ready", flush=True)
sys.stdin.readline()
for _ in range({CALLS}):
    app.request("POST", "/v1/chat/completions", b'{{"model": "m"}}', {{"content-type": "application/json"}})
    assert app.getresponse().read() == b'{{"hello": true}}'
"""


def test_the_first_program_and_thirty_started_at_once_are_each_known(lab: Lab) -> None:
    """Half of them are ignored."""
    lab.upstream(greet)
    rules = [{"rule": "private", "match": {"process": "private.py"}, "ignore": True}, {"session": {"name": "App"}}]
    proxy = lab.proxy({"version": 1, "rules": rules})
    for name in NAMES:
        (lab.folder / name).write_text(PROGRAM, encoding="utf-8")
    trusted = lab.folder / "both.pem"  # whether a call is looked into or not, it goes through
    trusted.write_bytes(lab.authority.pem.read_bytes() + proxy.ca.read_bytes())
    first = lab.folder / "first.py"
    asks = "import httpx2, sys; httpx2.post(sys.argv[1], json={}, timeout=None).raise_for_status()"
    first.write_text(asks, encoding="utf-8")
    proxy.run([PYTHON, first, CHAT])
    programs: list[subprocess.Popen[str]] = []
    try:
        for number in range(PROGRAMS):
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            app = lab.folder / NAMES[number % 2]
            command = [PYTHON, str(app), proxy.url.rpartition(":")[2], str(trusted)]
            programs.append(subprocess.Popen(command, env=own_environment(), text=True, **pipes))
        for program in programs:
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
        for program in programs:
            assert program.stdin is not None
            program.stdin.write("\n")
            program.stdin.flush()
        for program in programs:
            _, complaint = program.communicate(timeout=PATIENCE * 3)
            assert program.returncode == 0, complaint + proxy.process.output
    finally:
        for program in programs:
            program.kill()
            program.communicate()
    earliest, *calls = proxy.stop()
    assert earliest.caller is not None
    assert earliest.caller["name"] == "first.py"
    seen = Counter(call.caller["pid"] if call.caller else None for call in calls)
    assert seen == {program.pid: CALLS for program in programs[1::2]}
    assert proxy.notes("protected") == []


# -- programs that are not known --------------------------------------------------------------------------------------

BY_PROCESS: Any = {
    "version": 1,
    "hosts": [{"host": f"{name}.example"} for name in ("ignored", "none", "metadata", "full")],
    "rules": [
        {"rule": "left", "match": {"process": "private.py", "host": "ignored.example"}, "ignore": True},
        {"rule": "out", "match": {"process": "private.py", "host": "none.example"}, "capture": "none"},
        {"rule": "thin", "match": {"process": {"cwd": "/p/**"}, "host": "metadata.example"}, "capture": "metadata"},
        {"session": {"name": "App"}},
    ],
}
HOSTS = ("ignored.example", "none.example", "metadata.example", "full.example", "api.openai.com")


def losing(lab: Lab, how: str, rules: Any = BY_PROCESS) -> Proxy:
    lab.upstream(greet, HOSTS)
    return lab.proxy(rules, scripts=[SCRIPTS / "lose_callers.py"], environment={"CALLERS": how})


@pytest.mark.parametrize("how", ["gone", "not in time"])
def test_a_program_that_is_not_found_may_be_the_one_that_a_rule_means(
    lab: Lab, authority: Authority, how: str
) -> None:
    proxy = losing(lab, how)
    with outsider(proxy, authority) as app:
        assert app.post("https://ignored.example/v1/x", json={}).status_code == 200  # not looked into
    with proxy.client() as app:
        for host in HOSTS[1:4]:
            assert app.post(f"https://{host}/v1/x", json={"secret": host}).status_code == 200
    notes = {note["rule"]: note for note in proxy.wait_notes("protected", 3)}
    calls = {call.record["host"]: call for call in proxy.stop()}
    assert {host: labels(call) for host, call in calls.items()} == {
        "metadata.example": (False, True),
        "full.example": (True, False),
    }
    assert {rule: (note["effect"], note["unknown"]) for rule, note in notes.items()} == {
        "left": ("ignore", ["process.name"]),
        "out": ("none", ["process.name"]),
        "thin": ("metadata", ["process.cwd"]),
    }
    assert notes["thin"]["call"] == calls["metadata.example"].id
    said = [line for line in proxy.process.lines if "may be meant for calls" in line]
    assert len(said) == 3
    assert "rule 'out' may be meant for calls of which process.name is not known (" in said[1]


def test_a_program_that_is_found_late_is_known_to_its_call(lab: Lab) -> None:
    proxy = losing(lab, "late")
    with proxy.client() as app:
        for host in HOSTS[1:4]:
            assert app.post(f"https://{host}/v1/x", json={}).status_code == 200
    calls = proxy.stop()
    assert [labels(call) for call in calls] == [(True, False)] * 3
    assert all(call.caller is not None for call in calls)
    assert proxy.notes("protected") == []


# -- requests that are not understood ---------------------------------------------------------------------------------

BY_MODEL: Any = {
    "version": 1,
    "rules": [
        {"rule": "out", "match": {"model": "secret-*"}, "capture": "none"},
        {"session": {"name": "App", "path": "/${model}"}},
    ],
}
ODD = {
    "half a pair": rb'{"model": "%s", "messages": [{"role": "user", "content": "cut \ud83d"}]}',
    "NaN": b'{"model": "%s", "temperature": NaN}',
    "1e400": b'{"model": "%s", "max_tokens": 1e400, "seed": -Infinity}',
}


@pytest.fixture(scope="module")
def proxy(shared_lab: Lab) -> Proxy:
    shared_lab.upstream(greet)
    return shared_lab.proxy(BY_MODEL)


@pytest.fixture(autouse=True)
def fresh(request: pytest.FixtureRequest) -> None:
    if "proxy" in request.fixturenames:
        request.getfixturevalue("proxy").pass_over()


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
def test_the_model_of_a_body_that_is_nearly_json_is_known(proxy: Proxy, body: bytes) -> None:
    before = len(proxy.notes("protected"))
    with proxy.client(headers=JSON) as app:
        for model in (b"secret-1", b"open-1"):
            assert app.post(CHAT, content=body % model).status_code == 200
    (call,) = proxy.take()
    record = call.record
    assert (record["llm"]["request_model"], record["session"]["path"]) == ("open-1", "/open-1")
    assert call.request_body() == body % b"open-1"
    assert len(proxy.notes("protected")) == before


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("show @1", id="show"),
        pytest.param("cat {0} --text", id="cat --text"),
        pytest.param("cat {0} --json", id="cat --json"),
        pytest.param("diff {0} {1}", id="diff"),
        pytest.param("rules explain {0} --rules {rules}", id="rules explain"),
        *[pytest.param(f"export --format {kind} @1 -o {{out}}", id=kind) for kind in ("har", "jsonl", "flow")],
    ],
)
def test_every_tool_shows_a_body_that_is_nearly_json(
    proxy: Proxy, words: str, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """With half a pair in its text: the terminal's and every format's UTF-8 has no room for one."""
    with proxy.client(headers=JSON) as app:
        for body in ODD.values():
            app.post(CHAT, content=body % b"open-1")
    ids = [call.id for call in proxy.take(len(ODD))]
    filled = words.format(*ids, rules=proxy.rules_file, out=tmp_path / "out")
    status = main([*filled.split(), "--trace", str(proxy.trace_folder)])
    said = capsysbinary.readouterr()
    assert status == 0, said.err
    assert b"Traceback" not in said.err
    (said.out + b"".join(path.read_bytes() for path in tmp_path.iterdir() if "flow" not in words)).decode()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(b'{"model": "secret-1"', "application/json", id="no JSON"),
        pytest.param(b'{"model": "secret-1"}', "application/x-unknown", id="of another kind"),
        pytest.param(b"--x\r\nmodel secret-1" * 400_000, "multipart/form-data; boundary=x", id="streamed past"),
    ],
)
def test_a_request_that_is_not_understood_may_be_the_one_that_a_rule_means(
    proxy: Proxy, body: bytes, kind: str
) -> None:
    before = len(proxy.notes("protected"))
    with proxy.client() as app:
        assert app.post(CHAT, content=body, headers={"content-type": kind}).status_code == 200
        assert app.post(CHAT, json={"model": "open-1"}).status_code == 200
    (call,) = proxy.take()
    assert call.record["llm"]["request_model"] == "open-1"
    (note,) = proxy.wait_notes("protected", before + 1)[before:]
    assert (note["rule"], note["effect"], note["unknown"]) == ("out", "none", ["model"])
    assert "rule 'out' may be meant for calls of which model is not known. Those calls are not recorded" in (
        proxy.process.output
    )


def test_what_has_no_body_names_no_model(proxy: Proxy) -> None:
    with proxy.client() as app:
        assert app.get("https://api.openai.com/v1/models").status_code == 200
    (call,) = proxy.take()
    assert "protected" not in call.record["flags"]


def test_a_fault_of_ours_does_not_record_what_a_rule_keeps_out(lab: Lab) -> None:
    lab.upstream(greet)
    broken = {"BREAK": "sessiontap.sessions:Registry.assign"}
    proxy = lab.proxy(BY_MODEL, scripts=[SCRIPTS / "break_one.py"], environment=broken)
    with proxy.client() as app:
        for model in ("secret-1", "open-1"):
            assert app.post(CHAT, json={"model": model}).status_code == 200
    (call,) = proxy.stop()
    assert json.loads(call.request_body() or b"") == {"model": "open-1"}
    assert "undecided" in call.record["flags"]


def test_an_upload_that_is_given_up_is_not_recorded_where_it_may_be_kept_out(lab: Lab) -> None:
    """It never was decided: its client went away before its request was whole."""
    lab.upstream(greet)
    rules = [{"rule": "thin", "match": {"model": "secret-*"}, "capture": "metadata"}]
    proxy = lab.proxy({"version": 1, "rules": rules})

    def half() -> Iterator[bytes]:
        yield b'{"model": "secret-1", "messages": ['
        raise ConnectionAbortedError

    with proxy.client(headers=JSON) as app, pytest.raises((ConnectionAbortedError, httpx2.HTTPError)):
        app.post(CHAT, content=half())
    calls = proxy.wait_calls(1)
    assert [call.request_body() for call in calls] == [None]
