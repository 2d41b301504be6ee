"""`sessiontap demo`, the first thing that anybody sees of all this."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.e2e.lab import PYTHON, own_environment

import sessiontap.trace
from sessiontap.cli.errors import Failure
from sessiontap.demo.run_demo import is_session_header, run_demo


@pytest.mark.parametrize("has_openai", [True, False], ids=["with the openai package", "with the base package alone"])
def test_it_shows_the_sessions_and_what_the_server_was_told(tmp_path: Path, has_openai: bool) -> None:
    environ = own_environment() | {"HOME": str(tmp_path)}
    if not has_openai:
        hidden = tmp_path / "hidden"
        hidden.mkdir()
        (hidden / "openai.py").write_text("raise ImportError('it is not installed')\n", encoding="utf-8")
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(hidden), environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [PYTHON, "-m", "sessiontap.cli", "demo"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    sessions, _, received = done.stdout.partition("The session headers that the server received")
    for words in ("Course Generator", "/web-search", "/lesson", "Quick Questions", "embed_lessons.py"):
        assert words in sessions
    calls = re.split(r"^POST ", received, flags=re.MULTILINE)[1:]
    assert len(calls) == 8
    named = [re.search(r"helicone-session-name: (.*)", call, re.IGNORECASE) for call in calls]
    assert sorted(name[1] for name in named if name) == ["Course Generator"] * 6 + ["Quick Questions"] * 2
    trace = tmp_path / ".sessiontap" / "demo"
    assert {one.name for one in tmp_path.iterdir()} - {"hidden"} == {".sessiontap"}
    assert f"The trace is in {trace}" in received
    assert f"show @1 --timeline --trace {trace}" in received
    listed = sessiontap.trace.open(trace).query_sessions()
    assert sorted((row["name"], row["calls"]) for row in listed) == [("Course Generator", 6), ("Quick Questions", 2)]


def test_a_broken_rules_file_is_one_sentence(tmp_path: Path) -> None:
    rules = tmp_path / "broken.yaml"
    rules.write_text("version: 1\nrules:\n  - sesion: {name: x}\n", encoding="utf-8")
    with pytest.raises(Failure) as failure:
        run_demo(rules)
    assert f"{rules}:3:5: rules[0].sesion" in str(failure.value)
    assert "Traceback" not in str(failure.value)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Helicone-Session-Id", True),
        ("helicone-property-mode", True),
        ("X-TraceForge-Step-Index", True),
        ("Helicone-Auth", False),
        ("Authorization", False),
    ],
)
def test_only_session_headers_are_shown_and_never_a_key(name: str, shown: bool) -> None:
    assert is_session_header(name) is shown
