"""A Python that we start takes no module from the folder that it happens to run in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sessiontap import own_python

PACKAGE = str(own_python.PACKAGE_FOLDER)


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (None, []),
        ("", []),
        ("/one:/two", ["/one", "/two"]),
        (".", []),
        ("/one:", ["/one"]),
        (":/one", ["/one"]),
        ("src:/one:./lib:../x", ["/one"]),
        (f"{PACKAGE}:/one", ["/one"]),
    ],
    ids=["unset", "empty", "absolute", "a dot", "empty at the end", "empty at the start", "relative", "ours already"],
)
def test_which_entries_of_pythonpath_stay(given: str | None, left: list[str]) -> None:
    environ = {"A": "b"} if given is None else {"A": "b", "PYTHONPATH": given}
    found = own_python.environment(environ)
    assert found["A"] == "b"
    assert found["PYTHONPATH"].split(os.pathsep) == [PACKAGE, *left]


def test_nothing_is_added_where_python_looks_anyway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("site.getsitepackages", lambda: [PACKAGE])
    assert own_python.environment({"PYTHONPATH": "."}) == {}


@pytest.mark.parametrize(
    "how",
    [
        ("-m", "sessiontap.cli", "--version"),
        ("-c", "import yaml, msgpack, sessiontap.recording.process"),
    ],
    ids=["a module", "code"],
)
def test_what_lies_in_the_working_directory_is_not_run(tmp_path: Path, how: tuple[str, ...]) -> None:
    for name in ("yaml.py", "msgpack.py", "click.py", "json.py", "sessiontap/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('a file of the working directory was run')")
    environment = own_python.environment({**os.environ, "PYTHONPATH": f".{os.pathsep}"})
    done = subprocess.run(
        own_python.command(*how), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
