"""docs/scale.md in Spark and in ClickHouse: their answers are those of `sessiontap`. Only `scripts/test --engines` runs
these: the engines are installed once, outside the clone, and Spark needs Java."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.agents import packages
from tests.cli.command import runner
from tests.parquet import scale

SPARK, CHDB = "pyspark==4.3.0", "chdb==4.4.0"
PROGRAMS = Path(__file__).parent / "programs"
LIMIT = 1200.0


def ask(engine: str, folder: Path) -> scale.Answers:
    """The answers of an engine in its own Python, which finds `lake` in the folder."""
    if engine == "Spark" and shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    python = packages.python(SPARK if engine == "Spark" else CHDB)
    queries = scale.sql(engine)
    asked = json.dumps({"view": queries.pop(scale.VIEW), "queries": queries})
    done = subprocess.run(
        [python, PROGRAMS / f"{engine.lower()}.py"],
        input=asked,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYSPARK_PYTHON": str(python)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers: scale.Answers = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("engine", ["Spark", "ClickHouse"])
def test_an_engine_answers_as_sessiontap_does(
    engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = runner(capsys, monkeypatch, trace=scale.log(tmp_path / "logs"))
    assert run("push", "parquet", "--to", "lake").status == 0
    answers = ask(engine, tmp_path)
    wanted = scale.expected(run)
    for title in scale.KEYS:
        scale.is_equal(title, answers[title], wanted[title])
