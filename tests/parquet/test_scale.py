"""docs/scale.md: each question has its query for each engine, and DuckDB's answers are those of `sessiontap`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.command import runner
from tests.engines.asking import ask
from tests.parquet import scale

from sessiontap.rules import load_text


@pytest.mark.parametrize("engine", scale.ENGINES)
def test_each_question_has_a_query_for_each_engine(engine: str) -> None:
    assert list(scale.sql(engine)) == [scale.VIEW, *scale.KEYS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("scale")
    scale.log(place / "logs")
    return place


@pytest.fixture
def wanted(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> scale.Answers:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    run = runner(capsys, monkeypatch, trace=folder / "logs")
    return scale.expected(run)


@pytest.mark.parametrize("by", ["export", "push"])
def test_duckdb_answers_as_sessiontap_does(
    wanted: scale.Answers, folder: Path, by: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folder / by
    place.mkdir()
    run = runner(capsys, monkeypatch, trace=folder / "logs")
    to = str(place / "lake")
    done = run("export", "--format", "parquet", "-o", to) if by == "export" else run("push", "parquet", "--to", to)
    assert done.status == 0, done.err
    answers = ask("DuckDB", place)
    for title in scale.KEYS:
        scale.is_equal(title, answers[title], wanted[title])
    assert {len(wanted[title]) > 2 for title in scale.KEYS} == {True}


def test_the_rules_load() -> None:
    (example,) = scale.re.findall(r"```yaml\n(.*?)```", scale.PAGE, scale.re.DOTALL)
    assert [one.target for one in load_text(f"version: 1\n{example}").pushes] == ["parquet"]
