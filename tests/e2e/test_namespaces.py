"""Containers, as the kernel makes them: pid namespaces that see each other or not, and connections that are redirected.

What docs/deployment.md says of containers, without a container runtime: `--network container:` is a pid namespace of
its own beside a shared network, and DNAT is one redirect in a network namespace that leaves the proxy's user out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.e2e.lab import Lab, Proxy, own_environment
from tests.support.gate import PATIENCE
from tests.support.llm_server import LlmService

from sessiontap.demo.certs import Authority
from sessiontap.demo.proxy_process import MITMDUMP
from sessiontap.demo.redirect import Redirect

HOST = "api.openai.com"
URL = f"https://{HOST}/v1/chat/completions"
BODY = '{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello?"}]}'
ADDRESS = "10.99.0.1"
FIELDS = ("-H", "Authorization: Bearer sk-test", "-H", "Content-Type: application/json")
PORT = 8081
IN_PID_NAMESPACE = Path(__file__).parent / "scripts" / "in_pid_namespace.py"
RULES: Any = {
    "version": 1,
    "rules": [
        {"match": {"process": "curl"}, "session": {"name": "By process"}},
        {"match": {"host": HOST}, "session": {"name": "By host"}},
    ],
}

pytestmark = pytest.mark.skipif(
    not hasattr(os, "unshare") or os.geteuid() != 0, reason="namespaces are made by root, on Linux, from Python 3.12 on"
)


def ask(proxy: Proxy, curl: str, *, prefix: tuple[str, ...] = (), options: tuple[str, ...] = ()) -> None:
    command = [*prefix, curl, "-sS", "--fail", "--cacert", str(proxy.ca), *options, *FIELDS, "-d", BODY, URL]
    done = subprocess.run(
        command, env=own_environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr


def in_a_container(lab: Lab) -> tuple[Proxy, int]:
    """A proxy in a pid namespace of its own, and its pid as we see it."""
    try:
        proxy = lab.proxy(RULES, program=(str(IN_PID_NAMESPACE), *MITMDUMP))
    except Exception as error:
        pytest.skip(f"a pid namespace cannot be had here: {error}")
    (inner,) = psutil.Process(proxy.process.pid).children()
    return proxy, inner.pid


def test_a_program_of_another_container_is_not_visible_and_rules_go_by_host(lab: Lab, curl: str) -> None:
    lab.upstream(LlmService())
    proxy, _ = in_a_container(lab)
    ask(proxy, curl, options=("--proxy", proxy.process.url))
    (call,) = proxy.take(1)
    assert (call.caller, call.record["caller_unknown"]) == (None, "not visible")
    assert call.record["session"]["name"] == "By host"


def test_with_the_pids_of_the_proxys_container_a_program_is_found(lab: Lab, curl: str) -> None:
    nsenter = shutil.which("nsenter")
    if nsenter is None:
        pytest.skip("nsenter is not installed")
    lab.upstream(LlmService())
    proxy, pid = in_a_container(lab)
    inside = (nsenter, "--target", str(pid), "--pid", "--mount", "--")
    ask(proxy, curl, prefix=inside, options=("--proxy", proxy.process.url))
    (call,) = proxy.take(1)
    assert call.caller is not None
    assert call.caller["name"] == "curl"
    assert call.record["session"]["name"] == "By process"


def test_a_proxy_outside_sees_the_programs_of_a_container_that_shares_its_network(lab: Lab, curl: str) -> None:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare is not installed")
    lab.upstream(LlmService())
    proxy = lab.proxy(RULES)
    contained = (unshare, "--pid", "--fork", "--mount-proc", "--kill-child", "--")
    ask(proxy, curl, prefix=contained, options=("--proxy", proxy.process.url))
    (call,) = proxy.take(1)
    assert call.caller is not None
    assert call.caller["name"] == "curl"


def in_a_network_of_its_own(body: Callable[[], None]) -> None:
    """Run `body` on a thread in a network namespace that nobody else has: its threads and processes are in it, too."""

    def enter() -> None:
        os.unshare(os.CLONE_NEWNET)
        body()

    with ThreadPoolExecutor(1) as alone:
        alone.submit(enter).result()


def test_connections_that_are_redirected_but_the_proxys_are_recorded(
    tmp_path: Path, authority: Authority, confdir: Path, curl: str
) -> None:
    nft, setpriv = shutil.which("nft"), shutil.which("setpriv")
    if nft is None or setpriv is None:
        pytest.skip("nft and setpriv are needed")
    nobody = (setpriv, "--reuid", "65534", "--clear-groups", "--")

    def redirected(public: str) -> None:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
        lab = Lab(tmp_path, authority, confdir)
        try:
            server = lab.upstream(LlmService())
            lab.redirect(Redirect(ADDRESS, 443, server.port))
            proxy = lab.proxy(RULES, program=MITMDUMP, arguments=("--mode", "regular", "--mode", f"transparent@{PORT}"))
            rule = f"add rule ip nat output meta skuid != 0 tcp dport 443 redirect to :{PORT}"
            for line in (
                "add table ip nat",
                "add chain ip nat output { type nat hook output priority -100 ; }",
                rule,
            ):
                done = subprocess.run([nft, line], capture_output=True, text=True, check=False)
                if done.returncode:
                    pytest.skip(f"nft cannot redirect here: {done.stderr}")
            command = [*nobody, curl, "-sS", "--fail", "--cacert", public]
            command += ["--resolve", f"{HOST}:443:{ADDRESS}", *FIELDS, "-d", BODY, URL]
            done = subprocess.run(
                command, env={}, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
            assert done.returncode == 0, done.stderr
            (call,) = proxy.take(1)
            assert (call.record["host"], call.record["outcome"]) == (HOST, "ok")
            assert call.caller is not None
            assert call.caller["name"] == "curl"
            assert call.record["session"]["name"] == "By process"
        finally:
            lab.close()

    with tempfile.NamedTemporaryFile() as public:  # for a user who may not enter the folders of this test
        public.write((confdir / "mitmproxy-ca-cert.pem").read_bytes())
        public.flush()
        os.chmod(public.name, 0o644)
        in_a_network_of_its_own(lambda: redirected(public.name))
