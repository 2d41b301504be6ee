"""The format as docs/trace-format.md describes it, read by strangers."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints, is_typeddict

import pytest
from tests.cli import recorded
from tests.support.gate import PATIENCE
from tests.trace.conftest import CALLER, call_map

from sessiontap import trace
from sessiontap.trace import body, frame, record_shapes
from sessiontap.trace.closing import close_segment

PAGE = Path(__file__).parents[2] / "docs" / "trace-format.md"


@pytest.mark.parametrize("closed", [False, True], ids=["plain", "closed"])
def test_the_reader_of_the_page_prints_all_of_every_call(tmp_path, closed):
    program = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    assert "sessiontap" not in program, "only msgpack and zstd"
    assert len([line for line in program.splitlines() if line and not line.startswith("import")]) <= 10
    folder = recorded.write(tmp_path / "trace", recorded.calls())
    expected = [call.record for call in trace.open(folder).calls(newest_first=False)]
    if closed:
        (segment,) = folder.glob("*.mpk")
        assert close_segment(segment)
    (tmp_path / "reader.py").write_text(program)

    ran = subprocess.run([sys.executable, "-I", "reader.py", str(folder)], cwd=tmp_path, capture_output=True, text=True)

    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [json.dumps(record, default=repr) for record in expected]
    assert len(expected) == 5


def keys_of(shape: Any) -> Iterator[tuple[str, str]]:
    """(map, key) of all keys that a shape has, those of its maps with them."""
    for key, kind in get_type_hints(shape).items():
        yield shape.__name__.removesuffix("Shape"), key
        for inner in maps_in(kind):
            yield from keys_of(inner)


def maps_in(kind: Any) -> Iterator[Any]:
    if is_typeddict(kind):
        yield kind
    for inner in get_args(kind):
        yield from maps_in(inner)


UNTOLD = {("Call", "like"), ("Session", "key")}
"""What version 1 had; what only a restart of ours understands."""


@pytest.mark.parametrize("kind", record_shapes.SHAPES)
def test_the_page_tells_of_every_key_that_is_read(kind):
    page = PAGE.read_text()
    told = set(re.findall(r"[`\"](\w+)[`\"]", page.partition("## Frames")[0]))

    keys = set(keys_of(record_shapes.SHAPES[kind])) - UNTOLD

    assert {(name, key) for name, key in keys if key not in told} == set()
    assert len(keys) > 3


def test_every_key_of_a_call_in_the_page_is_read():
    table = PAGE.read_text().partition("A **call**")[2].partition("A **label**")[0]
    rows = re.findall(r"^\| (`[^|]*`) \|", table, re.MULTILINE)
    told = [key for row in rows for key in re.findall(r"`(\w+)`", row)]

    assert len(told) > 20
    assert set(told) == set(get_type_hints(record_shapes.CallShape)) - {"type", "like"}


def test_the_mark_of_the_page_is_the_one_written():
    spelled = re.search(r"seven bytes `([0-9A-F ]+)`", re.sub(r"\s+", " ", PAGE.read_text()))

    assert bytes.fromhex(spelled.group(1)) == frame.MARK


NODE_READER = """
const fs = require("fs");
const { decodeMulti, ExtData } = require("@msgpack/msgpack");
for (const value of decodeMulti(fs.readFileSync(process.argv[2]), { useBigInt64: true })) {
  const shown = value instanceof ExtData
    ? { ext: value.type, mark: Buffer.from(value.data).toString("latin1", 0, 4), size: value.data.length }
    : { type: value.type, id: value.id, time: String(value.time), header: value.request?.headers?.[0]?.[1],
        data: value.request?.body ? Buffer.from(value.request.body.data).toString("latin1") : undefined };
  console.log(JSON.stringify(shown));
}
"""


def test_a_library_of_another_language_reads_a_segment(written, folder, tmp_path):
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("there is no node or no npm here")
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "@msgpack/msgpack@3"]
    try:
        installed = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not install @msgpack/msgpack within a minute")
    if installed.returncode:
        pytest.skip(f"npm cannot install @msgpack/msgpack: {installed.stderr.strip()[:200]}")
    request = {"headers": [["x-name", "caf\xe9"]], "body": body.encode(b"\xff\x00raw")}
    written(CALLER, call_map(1, time=1_795_237_563_000_001_999, request=request))
    (tmp_path / "reader.cjs").write_text(NODE_READER)
    (segment,) = folder.iterdir()

    command = [node, "reader.cjs", str(segment)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)

    assert ran.stderr == ""
    shown = [json.loads(line) for line in ran.stdout.splitlines()]
    assert shown[0::2] == [{"ext": 83, "mark": "STAP", "size": 12}] * 3
    assert [value["type"] for value in shown[1::2]] == ["segment", "caller", "call"]
    call = shown[-1]
    assert (call["time"], call["header"], call["data"]) == ("1795237563000001999", "caf\xe9", "\xff\x00raw")
