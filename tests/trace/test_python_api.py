"""docs/python.md: its programs run as printed and say what is printed beneath them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli import recorded

from sessiontap import trace

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "python.md").read_text("utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", PAGE, re.DOTALL)


def test_every_program_shows_what_it_says() -> None:
    assert len(PROGRAMS) == PAGE.count("```python") == 3


@pytest.mark.parametrize(("program", "said"), PROGRAMS, ids=range(len(PROGRAMS)))
def test_the_programs_of_the_page(tmp_path: Path, program: str, said: str) -> None:
    folder = recorded.write(tmp_path / "trace", recorded.calls())
    (tmp_path / "program.py").write_text(program)
    ran = subprocess.run(
        [sys.executable, "program.py", str(folder)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "addon"), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.stderr, ran.stdout) == ("", said)


def test_the_table_names_what_there_is() -> None:
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    names = [name for cell in re.findall(r"^\| (.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)", cell)]
    assert len(names) > 10
    assert [name for name in names if not hasattr(trace.Trace, name)] == []
