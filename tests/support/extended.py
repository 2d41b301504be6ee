"""A copy of the package with something added, as a contributor would: files of its own, and a line in a list."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

PACKAGE = Path(__file__).parents[2] / "addon" / "sessiontap"

Lines = tuple[tuple[str, str], ...]


def run_extended(folder: Path, code: str, files: Mapping[str, str], lines: Mapping[str, Lines]) -> None:
    """Run `code` in a Python of its own, with the copy as `sessiontap`. A failure there is one here.

    `files`: path in the package -> text. `lines`: path in the package -> lines that stand there once, each with the
    line to put behind it: a line of a list, and its import.
    """
    copy = folder / "sessiontap"
    shutil.copytree(PACKAGE, copy)
    for name, text in files.items():
        (copy / name).write_text(dedent(text), encoding="utf-8")
    for name, pairs in lines.items():
        text = (copy / name).read_text(encoding="utf-8")
        for before, added in pairs:
            assert text.count(f"{before}\n") == 1, f"{name}: {before}"
            text = text.replace(f"{before}\n", f"{before}\n{added}\n")
        (copy / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)],
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
