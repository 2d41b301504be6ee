"""The format as docs/trace-format.md describes it, read by strangers."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgpack
import pytest
from tests.trace.conftest import CALLER, call_map

from sessiontap import trace
from sessiontap.trace import body, frame

PAGE = Path(__file__).parents[2] / "docs" / "trace-format.md"


def test_the_reader_of_the_page_runs_as_printed(written, folder, tmp_path):
    program = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    assert "sessiontap" not in program, "only msgpack"
    assert len([line for line in program.splitlines() if line and not line.startswith("import")]) <= 10
    written(CALLER, call_map(1), call_map(2, session=None, response=None, request={"body": body.encode(b"x" * 9000)}))
    (tmp_path / "reader.py").write_text(program)

    ran = subprocess.run([sys.executable, "-I", "reader.py", str(folder)], cwd=tmp_path, capture_output=True, text=True)

    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "0190a000-0001-7000-8000-000000000000 Demo /a 200",
        "0190a000-0002-7000-8000-000000000000 None None None",
    ]


def test_the_page_puts_back_what_calls_repeat(written, folder):
    program = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[2]
    rules: dict[str, Any] = {}
    exec(program, rules)
    usage = {"usage": {"input": 5, "output": 7}, "provider": "openai"}
    written(*[call_map(number, llm=usage | {"response_id": f"r-{number}"}, rules=["one"]) for number in range(9)])
    (segment,) = folder.iterdir()

    values, calls = {}, []
    for value in msgpack.Unpacker(segment.open("rb"), max_buffer_size=0):
        if isinstance(value, dict) and value["type"] == "values":
            values |= enumerate(value["values"], value["first"])
        elif isinstance(value, dict) and value["type"] == "call":
            calls.append(value)

    assert sum("rules" in call for call in calls) < 5
    restored = [{key: value for key, value in rules["whole"](call, values).items() if key != "like"} for call in calls]
    assert restored == [call.record for call in trace.open(folder).calls(newest_first=False)]


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
        installed = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not install @msgpack/msgpack within a minute")
    if installed.returncode:
        pytest.skip(f"npm cannot install @msgpack/msgpack: {installed.stderr.strip()[:200]}")
    request = {"headers": [["x-name", "caf\xe9"]], "body": body.encode(b"\xff\x00raw")}
    written(CALLER, call_map(1, time=1_795_237_563_000_001_999, request=request))
    (tmp_path / "reader.cjs").write_text(NODE_READER)
    (segment,) = folder.iterdir()

    ran = subprocess.run([node, "reader.cjs", str(segment)], cwd=tmp_path, capture_output=True, text=True, timeout=30)

    assert ran.stderr == ""
    shown = [json.loads(line) for line in ran.stdout.splitlines()]
    assert shown[0::2] == [{"ext": 83, "mark": "STAP", "size": 12}] * 3
    assert [value["type"] for value in shown[1::2]] == ["segment", "caller", "call"]
    call = shown[-1]
    assert (call["time"], call["header"], call["data"]) == ("1795237563000001999", "caf\xe9", "\xff\x00raw")
