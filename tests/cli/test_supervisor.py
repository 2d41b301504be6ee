"""A program runs as if nothing stood around it, and what it leaves running is known until it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest
from tests.support.gate import PATIENCE

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")

TELLS = """
import os, signal, sys
def got(number, frame):
    os.write(1, signal.Signals(number).name.encode() + b"\\n")  # a print may be under way
    sys.exit(7)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, got)
print("ready", flush=True)
sys.stdin.read()
"""

AROUND = """
import os, signal, sys
from sessiontap.cli import supervisor
from sessiontap.cli.program import ProgramStart
process = supervisor.fork()
{before}
status = process.run(ProgramStart([sys.executable, "-c", {program!r}]), os.environ, adopt=True, look=lambda pid: None)
{after}
sys.exit(status)
"""

DAEMON = """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        sys.stdin.read()  # ends when the test closes its end
        os.write(2, b"daemon ended\\n")
    os._exit(0)
os.wait()
sys.exit(5)
"""


def around(program: str, before: str = "", after: str = "") -> subprocess.Popen[bytes]:
    code = AROUND.format(program=program, before=before, after=after)
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_goes_to_the_program_and_its_status_comes_back(name: str) -> None:
    with around(TELLS) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(getattr(signal, name))
        assert process.stdout.read() == f"{name}\n".encode()
        assert process.wait() == 7


def test_a_signal_that_comes_too_early_waits_for_the_program() -> None:
    with around(TELLS, before="os.kill(os.getppid(), signal.SIGTERM)") as process:
        # It may reach the program before its own handler stands; either way it is the program that ends by it.
        assert process.wait() in (7, 143)


@pytest.mark.parametrize(
    ("program", "status"), [("", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_the_status_is_the_programs(program: str, status: int) -> None:
    with around(program) as process:
        assert process.wait() == status


def test_a_supervisor_that_is_killed_is_no_success() -> None:
    with around("", before="os.kill(os.getpid(), 9)") as process:
        assert process.wait() == 137


def test_a_daemon_is_seen_until_it_ends_and_nobody_waits_for_it() -> None:
    after = """
print(len(process.left_running()), flush=True)
process.release(status)
process.wait_for_the_last()
os.write(result, b"all ended")
"""
    told, result = os.pipe()
    os.set_inheritable(result, True)
    code = AROUND.format(program=DAEMON, before=f"result = {result}", after=after)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=[result]
    ) as process:
        os.close(result)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.wait(PATIENCE) == 5
        assert process.stdout.readline() == b"1\n" or sys.platform != "linux"
        assert select.select([told], [], [], 0)[0] == []  # the supervisor goes on waiting
        process.stdin.close()
        process.stdin = None
        assert os.read(told, 100) == b"all ended"
    os.close(told)


def test_an_orphan_that_ends_leaves_no_zombie() -> None:
    program = """
import os, subprocess, sys
read, write = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.write(write, b"%d" % os.getpid())
    os._exit(0)
os.wait()
pid = int(os.read(read, 20))
while os.path.exists(f"/proc/{pid}"):
    pass
"""
    if sys.platform != "linux":
        pytest.skip("only Linux gives orphans to the supervisor")
    with around(program) as process:
        assert process.wait(PATIENCE) == 0
