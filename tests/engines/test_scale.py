"""docs/scale.md in Spark and in ClickHouse: their answers are those of `sessiontap`. Only `scripts/test --engines` runs
these: the engines are installed once, outside the clone, and Spark needs Java. `scripts/bench engines` asks of more."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.command import runner
from tests.engines.asking import ask
from tests.parquet import scale


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
