"""On terminals of several widths what people look for is there, and no line is wrapped. In a pipe nothing is cut."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from tests.cli import recorded
from tests.support import warm

from sessiontap.cli.table import width

STYLES = re.compile("\x1b\\[[0-9;?]*[A-Za-z]")
WIDTHS = (80, 100, 120, 200)
MODEL = "claude-sonnet-4-5-20250929"
NAMES = (
    "Nightly evaluation of the course generator, all languages, second run",
    "日本語のとても長いセッションの名前です",
    "שיחה על אפייה",
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sessions with long ids that begin alike, long names, paths, models and process names."""
    caller = replace(recorded.NODE, name="generate_all_the_lessons_of_a_course.py")
    calls = [
        recorded.chat(
            n,
            session=(f"course-generator-2026-11-run-{n // 3:04}", NAMES[n // 3], f"/course/lessons/week-{n}/plan", n),
            caller=caller,
            model=MODEL,
            usage=(1_234_567, 23_456),
        )
        for n in range(9)
    ]
    return recorded.write(tmp_path_factory.mktemp("log") / "trace", calls)


def on_a_terminal(log: Path, columns: int, *arguments: str) -> list[str]:
    """The lines that a terminal of so many columns gets."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environ = {**os.environ, "TERM": "xterm", "LANG": "C.UTF-8", "SESSIONTAP_TRACE": str(log)}
    environ.pop("COLUMNS", None)
    with TemporaryFile() as errors:
        done = warm.sessiontap().start(arguments, environ, stdin=child, stdout=child, stderr=errors)
        os.close(child)
        parts = []
        while True:
            try:
                data = os.read(parent, 65_536)
            except OSError:
                break
            if not data:
                break
            parts.append(data)
        os.close(parent)
        status = done.wait()
        errors.seek(0)
        assert (errors.read(), status) == (b"", 0)
    return STYLES.sub("", b"".join(parts).decode()).replace("\r\n", "\n").splitlines()


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize(
    ("command", "titles"),
    [
        ("ls", ["ID", "NAME", "TITLE", "STARTED", "CALLS", "COST"]),
        ("calls", ["ID", "SESSION", "MODEL", "COST", "RESULT"]),
        ("show @1", ["PATH AND CALLS", "ID", "COST", "RESULT"]),
        ("show @1 --flat", ["ID", "PATH", "MODEL", "COST", "RESULT"]),
        ("stats --by session", ["SESSION", "CALLS", "COST"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_people_look_for_is_there(log: Path, columns: int, command: str, titles: list[str]) -> None:
    lines = on_a_terminal(log, columns, *command.split())
    begin = next(number for number, line in enumerate(lines) if titles[0] in line and "COST" in line)
    assert [title for title in titles if title not in lines[begin]] == []
    assert [line for line in lines[begin:] if width(line.rstrip()) > columns] == []


TITLE = "Is it going to be a good day for bread?"
FAILURE = {"type": "rate_limit_error", "message": "this request would exceed your limit"}


@pytest.fixture(scope="module")
def everyday_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sessions with names, titles and models as most have them; some calls fail."""
    calls = [
        recorded.chat(
            n,
            session=(f"{n:08x}-run", f"Course Generator {n}", f"/course/part-{n}", n),
            caller=recorded.NODE,
            model=MODEL,
            messages=[{"role": "user", "content": TITLE}],
            status=429 if n % 2 else 200,
            error=FAILURE if n % 2 else None,
        )
        for n in range(4)
    ]
    return recorded.write(tmp_path_factory.mktemp("log") / "trace", calls)


@pytest.mark.parametrize(
    ("command", "title", "least"),
    [("ls", "TITLE", 30), ("ls", "NAME", 16), ("calls", "MODEL", 14), ("calls", "RESULT", 16), ("calls", "PATH", 12)],
)
def test_a_hundred_columns_have_room_for_what_is_read(everyday_log: Path, command: str, title: str, least: int) -> None:
    titles, first, *_ = on_a_terminal(everyday_log, 100, command)  # the newest, which failed
    begin = titles.index(title)
    assert len(re.split(" {2,}", first[begin:])[0]) >= least


def test_a_column_that_is_the_same_in_all_rows_makes_room(everyday_log: Path) -> None:
    whole, narrow = (on_a_terminal(everyday_log, columns, "show", "@1", "--flat")[-2] for columns in (200, 80))
    assert ("SESSION" in whole, "SESSION" in narrow) == (True, False)


@pytest.mark.parametrize("columns", [40, *WIDTHS])
def test_a_line_of_tail_fits(log: Path, columns: int) -> None:
    lines = on_a_terminal(log, columns, "tail")
    assert len(lines) == 9
    assert [line for line in lines if width(line) > columns] == []
    assert [line for line in lines if not line.endswith("ok") and not line.endswith("stop")] == []


def test_a_line_of_tail_is_whole_in_a_pipe(log: Path) -> None:
    environ = {**os.environ, "SESSIONTAP_TRACE": str(log)}
    done = warm.sessiontap().run(["tail"], environ)
    assert f"{NAMES[0]} /course/lessons/week-0/plan #0  {MODEL}" in done.stdout.decode()


def test_a_pipe_gets_all_of_it(log: Path) -> None:
    environ = {**os.environ, "SESSIONTAP_TRACE": str(log)}
    text = warm.sessiontap().run(["ls"], environ).stdout.decode()
    assert [name for name in (*NAMES, MODEL, "2025-11-21 05:00:00", "3,703,701", "run-0002") if name not in text] == []
