"""What an end-to-end test works with: upstreams it controls, a real mitmdump with the addon, the trace this leaves."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import yaml
from tests.support import warm
from tests.support.dialogue import Handler, Request, Respond
from tests.support.gate import PATIENCE
from tests.support.http_server import Server

import sessiontap
from sessiontap import own_python, trace
from sessiontap.cli.environment import variables
from sessiontap.demo import redirect
from sessiontap.demo.certs import ALPN, Authority
from sessiontap.demo.proxy_process import MITMDUMP, SESSIONTAP_RUN, ProxyProcess, mitmdump
from sessiontap.demo.redirect import Redirect
from sessiontap.trace import RecordedCall

PYTHON = sys.executable
ROOT = Path(sessiontap.__file__).resolve().parents[2]
HOSTS = ("api.openai.com", "api.anthropic.com", "*.helicone.ai", "llm.example", "other.example")
"""What upstreams answer for unless a test says otherwise."""
KEYS = {"OPENAI_API_KEY": "sk-test-0000", "ANTHROPIC_API_KEY": "sk-ant-test-0000"}
NO_RULES: Mapping[str, Any] = {"version": 1, "rules": []}
RUN: dict[str, Any] = {"program": SESSIONTAP_RUN, "entry": None, "forked": True}
"""For `Lab.proxy`: a `sessiontap run` that is forked from a process which has imported it."""
SCRIPTS = Path(__file__).parent / "scripts"
"""Scripts for mitmproxy that tests load beside the addon."""


class Stage:
    """A handler that does what the test of the moment says: for upstreams that several tests share."""

    def __init__(self, act: Handler | None = None) -> None:
        self.act = act

    async def __call__(self, request: Request, respond: Respond) -> None:
        assert self.act is not None, f"no test expects {request}"
        await self.act(request, respond)


class Proxy:
    """A running mitmdump with the addon, and the files it was given."""

    def __init__(self, process: ProxyProcess, ca: Path, rules_file: Path, trace_folder: Path) -> None:
        self.process = process
        self.ca = ca
        self.rules_file = rules_file
        self.trace_folder = trace_folder
        self._taken: set[str] = set()

    @property
    def url(self) -> str:
        return self.process.url

    @property
    def trace(self) -> trace.Trace:
        return trace.open(self.trace_folder)

    def notes(self, kind: str) -> list[dict[str, Any]]:
        """The log's notes of this kind, as far as they are written."""
        return [note for note in self.trace.notes() if note["kind"] == kind]

    def wait_notes(self, kind: str, number: int = 1) -> list[dict[str, Any]]:
        """The log's notes of this kind, once there are so many.

        :raises TimeoutError: there never were.
        """
        wait_until(lambda: len(self.notes(kind)) >= number, lambda: f"the log holds {self.trace.notes()}")
        return self.notes(kind)

    def client(self, version: str = "HTTP/1.1", **options: Any) -> httpx2.Client:
        """An HTTP client that goes through the proxy and speaks only `version`."""
        return httpx2.Client(
            proxy=self.url,
            verify=ssl.create_default_context(cafile=self.ca),
            http2=version == "HTTP/2",
            http1=version != "HTTP/2",
            trust_env=False,
            timeout=PATIENCE,
            **options,
        )

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The variables of a program that is to go through the proxy; keys that the local LLM server takes."""
        return {**own_environment(), **variables(self.url, str(self.ca), str(self.ca)), **KEYS, **(more or {})}

    def run(
        self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program through the proxy to its end; a failure shows what it said."""
        done = subprocess.run(
            [str(word) for word in command],
            env=self.environment(environment),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{command[0]} ended with {done.returncode}\n{done.stderr}\n{self.process.output}"
        return done

    def write_rules(self, rules: Mapping[str, Any]) -> None:
        """Replace the rules file as an editor does."""
        draft = self.rules_file.with_suffix(".draft")
        draft.write_text(yaml.safe_dump(dict(rules), sort_keys=False), encoding="utf-8")
        draft.replace(self.rules_file)

    def wait_calls(self, holds: Callable[[list[RecordedCall]], bool] | int) -> list[RecordedCall]:
        """The calls in the log, oldest first, once there are that many or `holds` is true of them.

        :raises TimeoutError: it never became so.
        """
        if isinstance(holds, int):
            number = holds
            return self.wait_calls(lambda calls: len(calls) >= number)
        log = self.trace
        calls: list[RecordedCall] = []

        def there() -> bool:
            calls[:] = log.calls(newest_first=False)
            return holds(calls)

        wait_until(there, lambda: f"the log holds {[call.record for call in calls]}; {self.process.output}")
        return calls

    def take(self, number: int = 1) -> list[RecordedCall]:
        """The next calls in the log, those left out that were taken before: for tests that share a proxy.

        :raises TimeoutError: so many never came.
        """
        calls = [call for call in self.wait_calls(len(self._taken) + number) if call.id not in self._taken]
        self._taken |= {call.id for call in calls}
        assert len(calls) == number, [call.record for call in calls]
        return calls

    def new_calls(self) -> list[RecordedCall]:
        """The calls that are in the log now and that nobody has taken, oldest first."""
        return [call for call in self.trace.calls(newest_first=False) if call.id not in self._taken]

    def pass_over(self) -> None:
        """Leave to nobody what a test before has not taken: it may have failed."""
        self._taken |= {call.id for call in self.trace.calls()}

    def stop(self) -> list[RecordedCall]:
        """Stop the proxy, which writes what it still holds; every call in the log, oldest first."""
        self.process.stop()
        return list(trace.open(self.trace_folder).calls(newest_first=False))


class WarmProcess(ProxyProcess):
    """A mitmdump or a `sessiontap run` that is forked from a process which has imported it."""

    def __init__(self, *arguments: Any, patch: Path | None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._patch = patch

    def _start(self) -> Any:
        program, arguments = self._program()
        read, write = os.pipe()
        try:
            process = program.start(arguments, self._environment, self._folder, stdout=write, stderr=write)
        finally:
            os.close(write)
        process.stdout = os.fdopen(read, errors="replace")
        return process

    def _program(self) -> tuple[warm.Warm, Sequence[str]]:
        """What it is forked from, and its arguments."""
        if MITMDUMP[-1] in self._command:
            return warm.mitmdump(self._patch), self._command[self._command.index(MITMDUMP[-1]) + 1 :]
        return warm.sessiontap_run(), self._command[self._command.index(SESSIONTAP_RUN[-1]) :]


class Lab:
    """Makes the parts, wires them up, and takes them away again."""

    def __init__(self, folder: Path, authority: Authority, confdir: Path) -> None:
        self.folder = folder
        self.authority = authority
        self._confdir = confdir
        self._redirects: list[Redirect] = []
        self._servers: list[Server] = []
        self._exit = ExitStack()
        self._proxies = 0

    def upstream(
        self,
        handler: Handler,
        hosts: Sequence[str] = HOSTS,
        *,
        alpn: Sequence[str] = ALPN,
        tls: bool = True,
        address: str = "127.0.0.1",
    ) -> Server:
        """A server in the place of `hosts`; proxies made after it find it. `tls` False: on port 80, plain."""
        context = self.authority.server_context(hosts, alpn) if tls else None
        server = self._exit.enter_context(Server(handler, tls=context, host=address))
        self._servers.append(server)
        self._redirects[:0] = [Redirect(host, 443 if tls else 80, server.port) for host in hosts]
        return server

    def redirect(self, *redirects: Redirect) -> None:
        """More places from which proxies that are made after this are led to an upstream."""
        self._redirects[:0] = redirects

    def proxy(
        self,
        rules: Mapping[str, Any] | None = NO_RULES,
        *,
        options: Mapping[str, str | Path | None] | None = None,
        environment: Mapping[str, str] | None = None,
        patch: Path | None = None,
        addon: bool = True,
        entry: Path | None = ROOT / "addon" / "main.py",
        scripts: Sequence[Path] = (),
        program: Sequence[str] | None = None,
        forked: bool | None = None,
        arguments: Sequence[str] = (),
        home: str | None = None,
    ) -> Proxy:
        """A proxy on a free port, with a rules file and a trace folder of its own.

        `rules` None: there is no rules file. `addon` False: bare mitmdump. `scripts` are loaded after the addon,
        which waits for its callers and for changed rules as long as a busy machine takes.
        `options` None: without this option of the lab's. `program`: mitmdump, another one of mitmproxy's, or
        `sessiontap run`, which needs no `entry`; None is a mitmdump that is `forked` from a process which has imported
        it (`tests.support.warm`), unless the environment changes Python's start. What is not `forked` starts by itself.
        `home`: see `ProxyProcess`.
        `patch`: a folder with a `sitecustomize` that each Python process of the proxy begins with.
        """
        self._proxies += 1
        folder = self.folder / f"proxy-{self._proxies}"
        folder.mkdir()
        rules_file, trace_folder = folder / "rules.yaml", folder / "trace"
        if rules is not None:
            rules_file.write_text(yaml.safe_dump(dict(rules), sort_keys=False), encoding="utf-8")
        settings: dict[str, str | Path | None] = {
            "confdir": self._confdir,
            "ssl_verify_upstream_trusted_ca": self.authority.pem,
        }
        loaded = [Path(redirect.__file__), *scripts]
        if addon:
            settings |= {"session_trace": trace_folder} | ({"session_rules": rules_file} if rules is not None else {})
            loaded[:0] = [*([entry] if entry is not None else []), SCRIPTS / "patient.py"]
        settings |= options or {}
        given = {name: value for name, value in settings.items() if value is not None}
        changes_the_start = any(name.startswith(("PYTHON", "LD_")) for name in environment or {})
        is_forked = (program is None if forked is None else forked) and not changes_the_start
        process = (partial(WarmProcess, patch=patch) if is_forked else ProxyProcess)(
            [*mitmdump(*loaded, options=given, program=program or MITMDUMP), *arguments],
            folder,
            redirects=self._redirects,
            environment=warm.with_patch({**own_environment(), **(environment or {})}, patch),
            home=home,
        )
        self._exit.enter_context(process)
        log = Path(settings.get("session_trace") or trace_folder)
        return Proxy(process, self._confdir / "mitmproxy-ca-cert.pem", rules_file, log)

    def close(self) -> None:
        """Stop everything; a handler's fault fails the test."""
        self._exit.close()
        faults = [fault for server in self._servers for fault in server.faults]
        assert not faults, f"upstream handlers failed: {faults}"


def wait_until(holds: Callable[[], bool], otherwise: Callable[[], str] = lambda: "it never became so") -> None:
    """Ask until it holds, where there is no event to wait for: what another process leaves in a file.

    :raises TimeoutError: it never did; the message is what `otherwise` gives.
    """
    end = time.monotonic() + PATIENCE
    between = threading.Event()
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(otherwise())
        between.wait(0.02)


def own_environment() -> dict[str, str]:
    """This process's, without what would reach into a test."""
    foreign = ("OPENAI_", "ANTHROPIC_", "HELICONE_", "SESSIONTAP_")
    proxies = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(foreign) and name.lower() not in proxies
    }
    return own | {"PYTHONPATH": os.pathsep.join([str(ROOT / "addon"), *filter(None, [own.get("PYTHONPATH")])])}


def run_to_its_end(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a `sessiontap run` that ends by itself."""
    return subprocess.run(
        own_python.command(*SESSIONTAP_RUN, *arguments),
        cwd=folder,
        env={**own_environment(), "HOME": str(folder), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
