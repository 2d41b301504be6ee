"""The SQL of docs/scale.md, asked of a folder's `lake`: of DuckDB here, of the others in Pythons of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pytest
from tests.agents import packages
from tests.parquet import scale

SPARK, CHDB = "pyspark==4.3.0", "chdb==4.4.0"
PROGRAMS = Path(__file__).parent / "programs"
LIMIT = 3600.0

_AS_JSON = {
    "TIMESTAMP WITH TIME ZONE": "strftime(\"{}\", '%Y-%m-%dT%H:%M:%S.%fZ')",
    "DATE": 'CAST("{}" AS VARCHAR)',
    "HUGEINT": 'CAST("{}" AS BIGINT)',
}


def ask(engine: str, folder: Path) -> scale.Answers:
    """The answers of an engine by the titles of the questions; skips the test where the engine cannot be had."""
    queries = scale.sql(engine)
    view = queries.pop(scale.VIEW)
    return _ask_duckdb(folder, view, queries) if engine == "DuckDB" else _ask_program(engine, folder, view, queries)


def _ask_program(engine: str, folder: Path, view: str, queries: Mapping[str, str]) -> scale.Answers:
    if engine == "Spark" and shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    python = packages.python(SPARK if engine == "Spark" else CHDB)
    done = subprocess.run(
        [python, PROGRAMS / f"{engine.lower()}.py"],
        input=json.dumps({"view": view, "queries": queries}),
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


def _ask_duckdb(folder: Path, view: str, queries: Mapping[str, str]) -> scale.Answers:
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        engine.execute(f"SET file_search_path = '{folder}'")
        engine.execute(view)
        return {title: _answer(engine, query) for title, query in queries.items()}


def _answer(engine: duckdb.DuckDBPyConnection, query: str) -> list[scale.Row]:
    """The rows, with dates and times as JSON has them."""
    engine.execute(f"CREATE OR REPLACE TEMP TABLE answer AS {query}")
    columns = engine.execute(
        "SELECT column_name, data_type FROM (DESCRIBE answer) AS t(column_name, data_type, a, b, c, d)"
    ).fetchall()
    told = [_AS_JSON.get(kind, '"{}"').format(name) for name, kind in columns]
    rows = engine.execute(f"SELECT {', '.join(told)} FROM answer").fetchall()
    return [dict(zip([name for name, _ in columns], row, strict=True)) for row in rows]
