"""Where a program runs: a proxy with the local LLM server behind it, and names that lead to nobody but through it.

The program is started by `sessiontap exec`, in a mount namespace whose /etc/hosts gives the providers' names an address
that nobody has (RFC 5737): a connection that is not captured gets no answer from a provider.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.lab import RUN, Lab, own_environment
from tests.support.all_providers import BEDROCK, AllProviders

from sessiontap.trace import RecordedCall

ADDRESS = "203.0.113.7"  # for documentation (RFC 5737): nobody's
NAMES = ("api.openai.com", BEDROCK)
RULES: Any = {"version": 1, "rules": [{"rule": "all", "session": {"name": "${process.name}", "path": "/${operation}"}}]}
KEYS = {
    "OPENAI_API_KEY": "sk-test-0000",
    "AWS_ACCESS_KEY_ID": "AKIATEST",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}
LIMIT = 120.0
"""Seconds for a program; Java compiles itself first."""


class ExecStage:
    def __init__(self, lab: Lab, folder: Path) -> None:
        self.upstream = lab.upstream(AllProviders(websockets=True), (*NAMES, ADDRESS))
        self._home = folder / "home"
        self._home.mkdir()
        self.proxy = lab.proxy(RULES, **RUN, home=str(self._home))
        self._hosts = folder / "hosts"
        self._hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{ADDRESS} {name}\n" for name in NAMES))
        self.said = ""
        """What `exec` wrote on stderr."""

    def run(self, command: Sequence[str | Path], *options: str, more: Mapping[str, str] | None = None) -> str:
        """Run a program by `sessiontap exec` to its end, which must be status 7, and return its standard output."""
        done = subprocess.run(
            [*with_hosts(self._hosts), sys.executable, "-P", "-m", "sessiontap.cli", "exec", *options, "--"]
            + [str(word) for word in command],
            cwd=self._home,
            env={**own_environment(), "HOME": str(self._home), **KEYS, **(more or {})},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        self.said = done.stderr
        assert done.returncode == 7, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def calls(self) -> list[RecordedCall]:
        """The calls in the log; `exec` ended when they were there."""
        return list(self.proxy.trace.calls(newest_first=False))


def with_hosts(hosts: Path) -> list[str]:
    """The words before a command that is to have this /etc/hosts; skips the test if that cannot be."""
    unshare = shutil.which("unshare")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    words = [str(unshare), *user, "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts)]
    if unshare is None or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a mount namespace cannot be had here")
    return words
