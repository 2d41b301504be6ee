"""The main job, end to end, on this machine alone: what `sessiontap demo` and scripts/demo show."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import sessiontap
from sessiontap import own_python, private
from sessiontap.cli.environment import prepare_home, variables
from sessiontap.cli.errors import Failure
from sessiontap.cli.output import flush, write
from sessiontap.demo import redirect
from sessiontap.demo.certs import Authority
from sessiontap.demo.provider_server import HOSTS, ReceivedRequest, Server
from sessiontap.demo.proxy_process import SESSIONTAP_RUN, ProxyFailed, ProxyProcess, mitmdump
from sessiontap.demo.redirect import Redirect

PROGRAMS = Path(__file__).parent / "programs"
RUNS = (("chat.py",), ("course_agent.py", "bread baking"))
"""The client programs with their arguments; they run side by side."""
LIMIT = 60.0  # seconds for a program, or a command of our own
SESSION_HEADERS = ("helicone-", "x-traceforge-")
NEVER_SHOWN = ("helicone-auth",)
FOREIGN = ("OPENAI_", "ANTHROPIC_", "HELICONE_", "SESSIONTAP_")
"""Settings of the user's own for the programs and the proxy, which must not reach into the demo."""


def run_demo(rules: Path | None = None) -> None:
    """Run the client programs through a proxy of its own, then print their sessions and what the server received.

    Takes a few seconds, and leaves its trace behind, in the place of that of the last demo. `rules`: by default the
    project's own rules.yaml.

    :raises Failure: a part of it did not start, or a program failed.
    """
    trace = _own_trace()
    with tempfile.TemporaryDirectory(prefix="sessiontap-demo-") as name:
        folder = Path(name)
        rules = rules or _default_rules()
        try:
            received = _run_programs(folder, rules, trace)
        except ProxyFailed as error:
            raise Failure(str(error)) from None
        except OSError as error:
            raise Failure(f"the demo could not run: {error}") from None
        _print_sessions(trace)
        _print_received(received)
        _print_next_steps(trace)


def _own_trace() -> Path:
    """Return the empty folder of the demo's trace, in the user's folder of ours: it is there to be looked at."""
    prepare_home()
    trace = private.home() / "demo"
    try:
        if trace.exists():
            shutil.rmtree(trace)
    except OSError as error:
        raise Failure(f"the last demo's trace cannot be removed: {error}", f"remove {trace}") from None
    return trace


def checkout() -> Path | None:
    """Return the clone that the package lies in; None if the package is installed by itself."""
    root = Path(sessiontap.__file__).resolve().parents[2]
    return root if (root / "addon" / "main.py").is_file() else None


def _default_rules() -> Path:
    """Return the checkout's rules.yaml, or the wheel's copy of it."""
    root = checkout()
    return root / "rules.yaml" if root is not None else Path(__file__).with_name("rules.yaml")


def _run_programs(folder: Path, rules: Path, trace: Path) -> list[ReceivedRequest]:
    authority = Authority(folder / "upstream", "Sessiontap demo upstream CA")
    confdir = folder / "mitmproxy"
    options = {
        "session_rules": rules.resolve(),
        "session_trace": trace,
        "confdir": confdir,
        "ssl_verify_upstream_trusted_ca": authority.pem,
    }
    own = {name: value for name, value in own_python.environment(os.environ).items() if not name.startswith(FOREIGN)}
    with Server(authority.server_context(HOSTS, alpn=["http/1.1"])) as server:
        redirects = [Redirect(host, None, server.port) for host in HOSTS]
        _say("Starting the proxy: " + _shown_command(rules))
        with ProxyProcess(_command(options), folder, redirects=redirects, environment=own) as proxy:
            ca = str(confdir / "mitmproxy-ca-cert.pem")
            keys = {"OPENAI_API_KEY": "sk-none-is-needed", "ANTHROPIC_API_KEY": "sk-ant-none-is-needed"}
            _run_all(own | variables(proxy.url, ca, ca) | keys)
        if server.faults:
            raise Failure(f"the demo's own server failed: {server.faults[0]}")
        return server.received


def _command(options: Mapping[str, str | Path]) -> list[str]:
    """Return the command that starts the proxy as a user does, with the redirect beside it."""
    return mitmdump(Path(redirect.__file__), options=options, program=SESSIONTAP_RUN)


def _shown_command(rules: Path) -> str:
    return f"sessiontap run --set session_rules={rules.name}"


def _run_all(environment: Mapping[str, str]) -> None:
    """Run the programs at the same time, and pass on what they print.

    :raises Failure: one of them failed or took too long.
    """
    started = []
    try:
        for name, *arguments in RUNS:
            _say("Starting an app: HTTPS_PROXY=... " + " ".join(["python", name, *map(_quoted, arguments)]))
            process = subprocess.Popen(
                [sys.executable, str(PROGRAMS / name), *arguments],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
            started.append((name, process))
        for name, process in started:
            try:
                output, errors = process.communicate(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                raise Failure(f"{name} did not end within {LIMIT:g} s") from None
            if process.returncode:
                last = errors.strip().splitlines()[-1:] or ["it did not say why"]
                raise Failure(f"{name} failed: {last[0]}")
            _say(*(f"  {name}: {line}" for line in output.splitlines()))
    finally:
        for _, process in started:
            if process.poll() is None:
                process.kill()
                process.communicate()


def _quoted(argument: str) -> str:
    return f'"{argument}"' if " " in argument else argument


def _print_sessions(trace: Path) -> None:
    _say("", "The sessions in the trace log (sessiontap ls, sessiontap show):", "")
    _say(_own_command(["ls"], trace))
    listed = _own_command(["ls", "--json"], trace).splitlines()
    for line in reversed(listed):  # newest first; read from the oldest
        _say("", _own_command(["show", json.loads(line)["id"]], trace))


def _own_command(arguments: Sequence[str], trace: Path) -> str:
    done = subprocess.run(
        own_python.command("-m", "sessiontap.cli", "--trace", str(trace), *arguments),
        env=own_python.environment(os.environ),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    if done.returncode:
        raise Failure(f"sessiontap {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")


def _print_received(requests: Sequence[ReceivedRequest]) -> None:
    _say("", "The session headers that the server received:", "")
    for request in requests:
        _say(f"{request.method} https://{request.host}{request.path}")
        shown = [field for field in request.headers if is_session_header(field[0])]
        _say(*(f"    {name}: {value}" for name, value in shown))
        if not shown:
            _say("    none")


def _print_next_steps(trace: Path) -> None:
    command = "sessiontap"
    if shutil.which(command) is None:  # as in a clone
        command = os.path.relpath(Path(sys.executable).parent / command)
    there = f"--trace {shlex.quote(str(trace))}"
    _say(
        "",
        f"The trace is in {trace} until the next demo. Look around in it:",
        f"    {command} ls {there}",
        f"    {command} show @1 --timeline {there}",
        f"    {command} cat @1 --text {there}",
        f"    {command} ui {there}    # in a browser",
        "",
        "Your own program, with its sessions in your own trace:",
        f"    {command} exec -- python my_agent.py",
        f"    {command} show @1",
    )


def is_session_header(name: str) -> bool:
    """Return True for a session header that may be shown."""
    return name.lower().startswith(SESSION_HEADERS) and name.lower() not in NEVER_SHOWN


def _say(*lines: str) -> None:
    for line in lines:
        write(f"{line}\n")
    flush()
