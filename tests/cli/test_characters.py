"""A locale or an encoding that is not Unicode gets ASCII forms of what the commands draw, and JSON that is JSON."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli import recorded
from tests.support import warm

import sessiontap
from sessiontap.cli.characters import FORMS, encodable, takes_drawing


@pytest.mark.parametrize(
    ("encoding", "environ", "expected"),
    [
        pytest.param("utf-8", {}, True, id="nothing is said"),
        pytest.param("utf-8", {"LANG": "de_DE.UTF-8"}, True, id="UTF-8"),
        pytest.param("utf-8", {"LANG": "C.UTF-8"}, True, id="C with UTF-8"),
        pytest.param("utf-8", {"LANG": "C"}, False, id="C"),
        pytest.param("utf-8", {"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False, id="C, as Python leaves it"),
        pytest.param("utf-8", {"LANG": "de_DE.UTF-8", "LC_CTYPE": "C.UTF-8"}, True, id="UTF-8 by both"),
        pytest.param("utf-8", {"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, False, id="LC_ALL counts most"),
        pytest.param("utf-8", {"LC_CTYPE": "en_US.UTF-8", "LANG": "C"}, True, id="LC_CTYPE counts more than LANG"),
        pytest.param("latin-1", {}, False, id="latin-1"),
        pytest.param("ascii", {"LANG": "C.UTF-8"}, False, id="ASCII"),
        pytest.param(None, {}, False, id="no encoding"),
    ],
)
def test_the_encoding_and_the_locale_say_what_can_be_drawn(
    encoding: str | None, environ: dict[str, str], expected: bool
) -> None:
    assert takes_drawing(encoding, environ) is expected


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("Brot", "ascii", "Brot"),
        ("Brötchen", "latin-1", "Brötchen"),
        ("Brötchen", "ascii", "Br\\xf6tchen"),
        ("日", "latin-1", "\\u65e5"),
        ("\ud800", "utf-8", "\\ud800"),
    ],
)
def test_what_cannot_be_written_is_escaped(text: str, encoding: str, expected: str) -> None:
    assert encodable(text, encoding) == expected


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded.write(tmp_path_factory.mktemp("log") / "trace", recorded.calls())


def run(log: Path, command: str, **environ: str) -> bytes:
    """What the command writes, stderr included."""
    ours = {**os.environ, "SESSIONTAP_TRACE": str(log), **environ}
    return warm.sessiontap().run(command.split(), ours, stderr=subprocess.STDOUT).stdout


PICTURES = (
    *("ls", "show @2", "show @2 --timeline", "show @2 --flat", "show @2 --conversation", "calls", "tail"),
    *("diff @1 @2", "diff @1 @2 --calls", "cat @5", "cat @5 --text", "tools @2", "context @2", "cache @2", "waste @2"),
)
SOURCES = sorted((Path(sessiontap.__file__).parent / "cli").rglob("*.py"))
UNDRAWN = {"environment.py": "‘’‚‛", "table.py": "\u200e"}
"""Other characters beyond ASCII: PowerShell's quotes, and a mark that is not seen."""


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_all_that_the_commands_draw_has_an_ascii_form(source: Path) -> None:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]
    known = {*FORMS, *UNDRAWN.get(source.name, "")}
    drawn = {sign for text in texts for sign in text if sign.isprintable() and not sign.isascii()}
    assert drawn - known == set()


PLAIN: tuple[dict[str, str], ...] = ({"LANG": "C"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"})


@pytest.mark.parametrize("environ", [{"LANG": "C.UTF-8"}, *PLAIN])
def test_a_python_that_starts_by_itself_writes_the_same(log: Path, environ: dict[str, str]) -> None:
    words = [sys.executable, "-m", "sessiontap.cli", "show", "@2"]
    ours = {**os.environ, "SESSIONTAP_TRACE": str(log), **environ}
    assert subprocess.run(words, env=ours, capture_output=True).stdout == run(log, "show @2", **environ)


@pytest.mark.parametrize("environ", PLAIN)
@pytest.mark.parametrize("command", PICTURES)
def test_drawings_have_ascii_forms(log: Path, command: str, environ: dict[str, str]) -> None:
    encoding = environ.get("PYTHONIOENCODING", "utf-8")
    drawn, plain = run(log, command, LANG="C.UTF-8").decode(), run(log, command, **environ).decode(encoding)
    assert not [sign for sign in FORMS if sign in plain or sign.encode("ascii", "backslashreplace").decode() in plain]
    assert len(plain.splitlines()) == len(drawn.splitlines())


@pytest.mark.parametrize("command", ["ls --json", "calls --json", "show @2 --json", "cat @5 --json", "stats --json"])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_json_is_the_same_in_every_encoding(log: Path, command: str, encoding: str) -> None:
    expected = [json.loads(line) for line in run(log, command).decode().splitlines()]
    found = run(log, command, PYTHONIOENCODING=encoding).decode(encoding)
    assert [json.loads(line) for line in found.splitlines()] == expected
