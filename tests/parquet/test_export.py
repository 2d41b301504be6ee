"""`export --format parquet`: files that other readers read, their schema as docs/parquet.md has it, folders, faults."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cli import recorded
from tests.cli.recorded import call_id
from tests.export.calls import SESSION, START, call

from sessiontap.cli.main import main
from sessiontap.export import FORMATS
from sessiontap.export.exported_call import ExportedCall
from sessiontap.parquet import bodies_file, calls_file, export, part_file
from sessiontap.parquet.columns import BODIES, CALLS, FOLDERS, SCHEMA_VERSION
from sessiontap.rules import load_text

Run = Callable[..., tuple[int, str, str]]
PAGE = (Path(__file__).parents[2] / "docs" / "parquet.md").read_text("utf-8")
DAY = 86_400 * 10**9


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command on a small trace, in this process and in a folder of its own."""
    monkeypatch.setenv("SESSIONTAP_TRACE", str(recorded.write(tmp_path / "trace", recorded.calls())))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        said = capfd.readouterr()
        return status, said.out, said.err

    return run


def rows(*calls: ExportedCall) -> list[dict[str, object]]:
    out = io.BytesIO()
    calls_file.write(calls, out)
    found: list[dict[str, object]] = pq.read_table(io.BytesIO(out.getvalue())).to_pylist(maps_as_pydicts="strict")
    return found


def test_a_file_has_the_calls_of_the_log(run: Run) -> None:
    assert run("export", "--format", "parquet", "-o", "calls.parquet") == (
        0,
        "",
        "sessiontap: 5 calls in calls.parquet\n",
    )
    told = [json.loads(line) for line in run("calls", "--json", "--all")[1].splitlines()][::-1]
    wanted = ("id", "session_id", "step", "status", "outcome", "cost_usd", "duration", "request_model", "tool_calls")
    asked = duckdb.sql(f"SELECT {', '.join(wanted)}, strftime(time, '%Y-%m-%dT%H:%M:%S.%fZ') FROM 'calls.parquet'")
    assert asked.fetchall() == [(*(one[key] for key in wanted), one["time"]) for one in told]


def on(made: ExportedCall, host: str | None) -> ExportedCall:
    """The call as the proxy of a machine recorded it."""
    return replace(made, row=made.row | {"machine": host})


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (call(), {"input_tokens": 3, "cache_read_tokens": None, "cost_usd": 0.25, "input_cost_usd": 0.1}),
        (call(llm={"usage": {"input": "many"}}), {"input_tokens": None, "request_model": None, "model": None}),
        (call(llm={"request_model": "a", "response_model": "b"}), {"model": "b"}),
        (
            call(outcome="http_error", llm={"error": {"type": "overloaded"}}),
            {"failed": True, "error_type": "overloaded"},
        ),
        (call(properties={"a": "1"}, tags=["x", "y"]), {"properties": {"a": "1"}, "tags": ["x", "y"]}),
        (call(session=None), {"session_id": None, "path": None, "step": None}),
        (call(session={**SESSION, "name": "half \ud83d"}), {"session_name": "half ?"}),
        (call(gateway={"kind": "litellm", "name": "main"}), {"gateway": "main", "gateway_kind": "litellm"}),
        (on(call(), "build-7"), {"host": "build-7"}),
        (call(), {"host": None, "starred": False, "note": None, "scores": {}}),
    ],
    ids=["sums", "no count", "model", "error", "labels", "no session", "surrogate", "gateway", "host", "no scores"],
)
def test_what_is_unknown_is_null(made: ExportedCall, expected: dict[str, object]) -> None:
    (row,) = rows(made)
    assert {key: row[key] for key in expected} == expected


def test_scores_are_numbers_or_texts(run: Run) -> None:
    run("score", call_id(1), "helpful=0.8", "right=yes", "grade=poor", "--star")
    run("score", call_id(1), "--note", "Look again.")
    run("score", "@2", "solved=no")
    run("export", "--format", "parquet", "-o", "calls.parquet")
    asked = "SELECT scores, score_texts, starred, note, session_scores FROM 'calls.parquet' WHERE id = ?"
    assert duckdb.execute(asked, [call_id(1)]).fetchall() == [
        ({"helpful": 0.8, "right": 1.0}, {"grade": "poor"}, True, "Look again.", {"solved": 0.0})
    ]


def test_labels_count(run: Run) -> None:
    assert run("relabel", "@2", "--name", "Renamed", "--property", "team=blue")[0] == 0
    run("export", "--format", "parquet", "@2", "-o", "calls.parquet")
    asked = duckdb.sql("SELECT DISTINCT session_name, properties['team'] FROM 'calls.parquet'")
    assert asked.fetchall() == [("Renamed", "blue")]


def test_bodies_are_a_table_of_their_own() -> None:
    out = io.BytesIO()
    bodies_file.write([call(b'{"a": 1}', b"\xff\x00"), call(None, None, told={"body": {"size": 9}})], out)
    first, second = pq.read_table(io.BytesIO(out.getvalue())).to_pylist()
    assert (first["request_body"], first["response_body"], first["response_body_binary"]) == (
        '{"a": 1}',
        None,
        b"\xff\x00",
    )
    assert second["response_body_missing"] == "not recorded: a rule says `capture: metadata`"


def test_what_is_said_is_left_out_of_calls(run: Run) -> None:
    assert run("export", "--format", "parquet", "-o", "calls.parquet")[0] == 0
    assert b"sourdough" not in Path("calls.parquet").read_bytes()
    assert [one.name for one in CALLS if one.name.endswith("body")] == []


def test_further_redaction_and_no_content(run: Run) -> None:
    run("export", "--format", "parquet", "--redact", "Course", "--no-content", "-o", "calls.parquet")
    asked = duckdb.sql(
        "SELECT DISTINCT session_name, cardinality(properties) FROM 'calls.parquet' WHERE step = 0 ORDER BY ALL"
    )
    assert ("[redacted] outline", 0) in asked.fetchall()


# The schema.


@pytest.mark.parametrize(
    ("title", "columns"),
    [("Calls", CALLS), ("Bodies", BODIES), ("Folders", FOLDERS)],
    ids=["calls", "bodies", "folders"],
)
def test_the_page_lists_the_columns(title: str, columns: tuple[export.Column, ...]) -> None:
    section = re.split(r"^## ", PAGE.partition(f"\n## {title}\n")[2], flags=re.MULTILINE)[0]
    listed = re.findall(r"^\| `(\w+)` \| ([a-z ]+) \| (.*) \|$", section, re.MULTILINE)
    assert [(one.name, TYPES[one.type], one.text) for one in columns] == listed


TYPES = {
    pa.string(): "text",
    pa.binary(): "binary",
    pa.timestamp("us", "UTC"): "timestamp",
    pa.date32(): "date",
    pa.int64(): "integer",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.list_(pa.field("element", pa.string(), nullable=False)): "list of texts",
    pa.map_(pa.string(), pa.field("value", pa.string(), nullable=False)): "map of texts",
    pa.map_(pa.string(), pa.field("value", pa.float64(), nullable=False)): "map of doubles",
}


def test_the_file_tells_its_version_and_its_columns(run: Run) -> None:
    run("export", "--format", "parquet", "-o", "calls.parquet")
    (query,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    told = dict(duckdb.sql(query.partition("--")[0]).fetchall())
    assert (
        told["sessiontap.schema_version"] == str(SCHEMA_VERSION) == re.findall(r"schema_version`, now (\d+)", PAGE)[0]
    )
    assert json.loads(told["sessiontap.columns"]) == {one.name: one.text for one in (*CALLS, *FOLDERS)}
    described = pq.read_schema("calls.parquet").field("ended").metadata
    assert described[b"description"] == b"When the call was over."


# Folders.


def of_days(*days: tuple[int, str | None]) -> Iterator[ExportedCall]:
    """Calls of so many days after the first, on these machines."""
    for number, (day, host) in enumerate(days):
        yield on(call(id=f"call-{number}", time=START + day * DAY), host)


def test_a_folder_is_by_day_and_host(run: Run) -> None:
    assert run("export", "--format", "parquet", "-o", "lake") == (0, "", "sessiontap: 5 calls in lake\n")
    assert [str(one) for one in Path("lake").rglob("*.parquet")] == [
        "lake/calls/day=2025-11-21/host=test/part-00000.parquet"
    ]
    assert {one.stat().st_mode & 0o777 for one in Path("lake").rglob("*.parquet")} == {0o600}
    asked = duckdb.sql("SELECT day, host, count(*) FROM 'lake/calls/*/*/*.parquet' GROUP BY ALL").fetchall()
    assert [(str(day), host, calls) for day, host, calls in asked] == [("2025-11-21", "test", 5)]


def test_each_day_and_host_has_its_files(tmp_path: Path) -> None:
    calls_file.write_folder(of_days((0, "a"), (0, "b/.."), (0, "a"), (1, None), (1, "b/..")), tmp_path)
    asked = duckdb.sql(
        f"SELECT day, host, list(id) FROM '{tmp_path}/*/*/*.parquet' GROUP BY ALL ORDER BY 1, 2 NULLS FIRST"
    ).fetchall()
    assert [(f"{day}", host, sorted(ids)) for day, host, ids in asked] == [
        ("2026-11-21", "a", ["call-0", "call-2"]),
        ("2026-11-21", "b/..", ["call-1"]),
        ("2026-11-22", None, ["call-3"]),
        ("2026-11-22", "b/..", ["call-4"]),
    ]


def test_files_end_at_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "FILE_BYTES", 20_000)
    monkeypatch.setattr(part_file, "BATCH_ROWS", 50)
    monkeypatch.setattr(part_file, "GROUP_ROWS", 100)
    calls_file.write_folder(of_days(*[(0, "a")] * 1000), tmp_path)
    files = list(tmp_path.rglob("*.parquet"))
    assert len(files) > 2
    assert sum(pq.read_metadata(one).num_rows for one in files) == 1000


@pytest.mark.parametrize("hosts", [1, 20], ids=["one host", "many hosts"])
def test_the_rows_that_are_held_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hosts: int) -> None:
    """However many rows there are, and however many files are under way."""
    monkeypatch.setattr(export, "HELD_BYTES", 100_000)
    monkeypatch.setattr(part_file, "BATCH_ROWS", 10)
    held = []

    def calls() -> Iterator[ExportedCall]:
        for one in of_days(*[(0, f"host-{number % hosts}") for number in range(2000)]):
            held.append(pa.total_allocated_bytes())
            yield one

    calls_file.write_folder(calls(), tmp_path)
    assert max(held) < 1_000_000, held


def test_a_folder_that_is_there_stays_as_it_is(run: Run) -> None:
    run("export", "--format", "parquet", "@1", "-o", "lake")
    before = duckdb.sql("SELECT count(*) FROM 'lake/calls/*/*/*.parquet'").fetchall()
    status, _, err = run("export", "--format", "parquet", "-o", "lake", "--force")
    assert (status, err) == (1, "sessiontap: lake/calls is there already\nhint: name another folder with -o FOLDER\n")
    assert duckdb.sql("SELECT count(*) FROM 'lake/calls/*/*/*.parquet'").fetchall() == before
    assert run("export", "--format", "parquet-bodies", "@1", "-o", "lake")[0] == 0, "another table"


def test_an_export_that_ends_midway_leaves_no_folder(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(calls: object, columns: object, folder: Path) -> None:
        (folder / "part-00000.parquet").write_bytes(b"PAR1 half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(calls_file, "write_folders", broken)
    status, _, err = run("export", "--format", "parquet", "-o", "lake")
    assert (status, err.splitlines()[0]) == (1, "sessiontap: lake/calls cannot be written: No space left on device")
    assert list(Path("lake").iterdir()) == []


# Other ways out.


def test_it_goes_into_a_pipe(run: Run) -> None:
    command = [sys.executable, "-m", "sessiontap.cli", "export", "--format", "parquet"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert pq.read_table(io.BytesIO(done.stdout)).num_rows == 5


def test_a_missing_package_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [one for one in sys.modules if one.startswith("sessiontap.parquet")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    status, _, err = run("export", "--format", "parquet", "-o", "calls.parquet")
    assert (status, err) == (
        2,
        "sessiontap: parquet needs a package that is not installed: pyarrow\nhint: pip install 'sessiontap[parquet]'\n",
    )
    assert not Path("calls.parquet").exists()


def test_an_export_without_calls_has_a_schema() -> None:
    out = io.BytesIO()
    FORMATS["parquet"].load()([], out)
    assert pq.read_schema(io.BytesIO(out.getvalue())).names == [one.name for one in (*CALLS, *FOLDERS)]


def test_the_rules_of_the_page_load() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert [one.target for one in load_text(f"version: 1\n{example}").pushes] == ["parquet", "parquet"]


@pytest.mark.parametrize("command", re.findall(r"^sessiontap (.*?) +#", PAGE, re.MULTILINE))
def test_the_commands_of_the_page_are_commands(run: Run, command: str) -> None:
    assert run(*shlex.split(command.replace("s3://", "memory://").replace(" --follow", "")))[0] == 0
    fsspec.filesystem("memory").store.clear()
