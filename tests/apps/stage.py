"""Where the programs run: one proxy for all, the local LLM server behind it, and providers' names that lead to nobody.

Each program is started by `sessiontap exec`, in a mount namespace whose /etc/hosts gives the providers' names an
address that nobody has (RFC 5737): a connection that is not captured gets no answer.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.exec_stage import ADDRESS, with_hosts
from tests.e2e.lab import Lab
from tests.support.all_providers import AZURE, HOSTS, AllProviders
from tests.support.dialogue import Request

from sessiontap.demo.proxy_process import SESSIONTAP_RUN
from sessiontap.demo.redirect import Redirect
from sessiontap.trace import RecordedCall

RULES: Any = {
    "version": 1,
    "rules": [{"rule": "all", "session": {"name": "${process.name}", "path": "/${operation}"}}],
    "hosts": [{"host": "*.pinecone.io", "provider": "pinecone", "operation": "vector_search"}],
}
KEYS = {
    "OPENAI_API_KEY": "sk-test-0000",
    "ANTHROPIC_API_KEY": "sk-ant-test-0000",
    "GEMINI_API_KEY": "test-0000",
    "MISTRAL_API_KEY": "test-0000",
    "CO_API_KEY": "test-0000",
    "GROQ_API_KEY": "gsk_test0000",
    "HF_TOKEN": "hf_test0000",
    "OPENROUTER_API_KEY": "sk-or-test-0000",
    "PINECONE_API_KEY": "test-0000",
    "AZURE_OPENAI_API_KEY": "test-0000",
    "AZURE_OPENAI_ENDPOINT": f"https://{AZURE}",
    "AWS_ACCESS_KEY_ID": "AKIATEST",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}
UNKNOWN_HOST = "llm.corp.example"
"""A host that nobody has named: it speaks HTTPS, and at port 8000 plain HTTP."""
LIMIT = 120.0
"""Seconds for a program."""
SILENCE = 4.0
"""Seconds: several times as long as `exec` takes between two looks at a program's connections."""


@dataclass(frozen=True)
class Ended:
    """A program that has run, and what it did."""

    stdout: str
    stderr: str
    """With what `exec` says at its end."""
    status: int
    calls: list[RecordedCall]
    received: list[Request]
    """What reached a provider."""

    def __str__(self) -> str:
        calls = [call.record["request"]["url"] for call in self.calls]
        return f"status {self.status}, calls {calls}\n{self.stdout}\n{self.stderr}"


class AppStage:
    """`folder` is the home of the proxy, and of the programs."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        plain = lab.upstream(AllProviders(), (), tls=False)
        lab.redirect(Redirect(UNKNOWN_HOST, 8000, plain.port))
        self.upstream = lab.upstream(AllProviders(websockets=True), (*HOSTS, UNKNOWN_HOST, ADDRESS))
        self.ca_of_upstream = lab.authority.pem
        self._home = folder / "home"
        self._home.mkdir()
        self.proxy = lab.proxy(RULES, program=SESSIONTAP_RUN, entry=None, home=str(self._home))
        self._folder = folder

    def run(
        self,
        command: Sequence[str | Path],
        folder: Path,
        *,
        more: Mapping[str, str] | None = None,
        providers: str = ADDRESS,
    ) -> Ended:
        """Run a program by `sessiontap exec` in `folder` to its end. `providers`: the address that their names have."""
        hosts = self._folder / "hosts"
        hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{providers} {name}\n" for name in (*HOSTS, UNKNOWN_HOST)))
        self.proxy.pass_over()
        before = len(self.upstream.requests)
        done = run_by_exec(command, folder, self._home, (), more, by=with_hosts(hosts))
        calls, received = self.proxy.new_calls(), self.upstream.requests[before:]
        return Ended(done.stdout, done.stderr, done.returncode, calls, received)


@contextmanager
def slow_provider() -> Iterator[str]:
    """Yield the address of a server that is silent for a while to each who connects, and then goes away.

    It is this machine's, not loopback's; skips the test if there is none, or its port 443 cannot be had.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((ADDRESS, 443))  # sends nothing
            address = str(probe.getsockname()[0])
        listener = socket.create_server((address, 443))
    except OSError as error:
        pytest.skip(f"no server can be had that is neither loopback nor elsewhere: {error}")

    def serve() -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = listener.accept()
                threading.Timer(SILENCE, connection.close).start()

    with listener:
        threading.Thread(target=serve, daemon=True).start()
        yield address
        listener.shutdown(socket.SHUT_RDWR)


def run_by_exec(
    command: Sequence[str | Path],
    folder: Path,
    home: Path,
    options: Sequence[str],
    more: Mapping[str, str] | None,
    *,
    by: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a program by `sessiontap exec` in `folder` to its end. `by`: words that run what follows them."""
    own = [sys.executable, "-P", "-m", "sessiontap.cli", "exec", *options, "--"]
    return subprocess.run(
        [*by, *own, *map(str, command)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **KEYS, **(more or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def headers_of_log(calls: Sequence[RecordedCall]) -> Counter[tuple[str | None, ...]]:
    """The session headers that the log says were sent."""
    sessions = [call.record["session"] for call in calls]
    return Counter((session["id"], session["name"], session["path"]) for session in sessions)


def headers_received(requests: Sequence[Request]) -> Counter[tuple[str | None, ...]]:
    """The session headers that reached a provider."""
    names = ("helicone-session-id", "helicone-session-name", "helicone-session-path")
    return Counter(tuple(request.headers.get(name) for name in names) for request in requests)
