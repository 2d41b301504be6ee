"""A program runs as if nothing stood around it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sessiontap.cli import program
from sessiontap.cli.errors import Failure


@pytest.mark.parametrize(("returncode", "status"), [(0, 0), (3, 3), (-15, 143), (-2, 130)])
def test_status_is_a_shells(returncode: int, status: int) -> None:
    assert program.status(returncode) == status


def test_a_program_that_is_missing() -> None:
    with pytest.raises(Failure, match="there is no program 'no-such-program'") as raised:
        program.start(["no-such-program"], os.environ)
    assert raised.value.status == 127


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(Failure, match="cannot be run") as raised:
        program.start([str(tmp_path / "text")], os.environ)
    assert raised.value.status == 126


TELLS = """
import signal, sys
def got(number, frame):
    print(signal.Signals(number).name, flush=True)
    sys.exit(7)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, got)
print("ready", flush=True)
sys.stdin.read()
"""

AROUND = f"""
import os, signal, subprocess, sys
from sessiontap.cli import program
with program.held_back() as hand_over:
    {{before}}
    child = program.start([sys.executable, "-c", {TELLS!r}], os.environ)
    hand_over(child)
    sys.exit(program.status(child.wait()))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_goes_to_the_program_and_its_status_comes_back(name: str) -> None:
    code = AROUND.format(before="pass")
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(getattr(signal, name))
        assert process.stdout.read() == f"{name}\n".encode()
        assert process.wait() == 7


def test_a_signal_that_comes_too_early_waits_for_the_program() -> None:
    code = AROUND.format(before="os.kill(os.getpid(), signal.SIGTERM)")
    done = subprocess.run([sys.executable, "-c", code], stdin=subprocess.PIPE, capture_output=True)
    # It may reach the program before its own handler stands; either way it is the program that ends by it.
    assert done.returncode in (7, 143)


def test_handlers_are_put_back() -> None:
    before = {number: signal.getsignal(number) for number in program.FORWARDED}
    with program.held_back():
        pass
    assert {number: signal.getsignal(number) for number in program.FORWARDED} == before
