"""Which processes are one program."""

from __future__ import annotations

import pytest

from sessiontap.callers import Caller
from sessiontap.callers.names import program_of

PYTHON = "/usr/bin/python3.13"


def caller(*argv: str, exe: str | None = PYTHON, pid: int = 1, uid: int = 1000, cwd: str = "/srv") -> Caller:
    return Caller(f"process {pid}", pid, 1, "app", exe=exe, argv=argv, cwd=cwd, uid=uid)


BOT = caller("python3", "-u", "bot.py", "--fast")


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(caller("python3", "/srv/bot.py", pid=2), True, id="another process, by the whole path"),
        pytest.param(caller("python3", "./bot.py", "x", pid=2), True, id="with other arguments"),
        pytest.param(caller("python3", "bot.py", cwd="/home"), False, id="a script of that name elsewhere"),
        pytest.param(caller("python3", "bot.py", uid=0), False, id="another user's"),
        pytest.param(caller("python3", "bot.py", exe="/opt/python"), False, id="another interpreter"),
        pytest.param(caller("python3", "other.py"), False, id="another script"),
    ],
)
def test_a_script_is_a_program(other: Caller, same: bool) -> None:
    assert (program_of(other) == program_of(BOT)) is same


@pytest.mark.parametrize(
    ("argv", "exe", "same"),
    [
        pytest.param(("wget", "https://a"), "/usr/bin/wget", True, id="an executable"),
        pytest.param(("python3", "-m", "app"), PYTHON, True, id="a module"),
        pytest.param(("java", "-jar", "app.jar"), "/usr/bin/java", True, id="a jar"),
        pytest.param(("python3", "-c", "import x"), PYTHON, False, id="a text"),
        pytest.param(("node",), "/usr/bin/node", False, id="a prompt"),
        pytest.param((), None, False, id="nothing is known"),
    ],
)
def test_two_processes_with_one_command_line(argv: tuple[str, ...], exe: str | None, same: bool) -> None:
    first, second = (caller(*argv, exe=exe, pid=pid) for pid in (1, 2))
    assert (program_of(first) == program_of(second)) is same
