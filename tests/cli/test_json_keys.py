"""The keys of every answer with `--json` are those of docs/json.md: no other, and none is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from tests.analysis import coding_session
from tests.cli import recorded

from sessiontap import trace
from sessiontap.cli.main import main
from sessiontap.push.cursor import Cursor, CursorFile, path_of
from sessiontap.trace.annotations import annotate as append
from sessiontap.trace.annotations import label_record, score_record

PAGE = Path(__file__).parents[2] / "docs" / "json.md"
RULES = "version: 1\nrules:\n  - {match: {operation: '*'}, session: {name: Bot, path: /ask}}\n"

COMMANDS = {
    # heading: the command, and whether it runs on the coding session, the recorded calls, or both
    "`sessiontap ls`": ("ls --all", "both"),
    "`sessiontap calls`": ("calls --all", "both"),
    "`sessiontap show`": ("show @1 --all", "both"),
    "`sessiontap show --conversation`": ("show @1 --conversation", "both"),
    "`sessiontap cat`": ("cat @1", "both"),
    "`sessiontap search`": ("search the", "both"),
    "`sessiontap score`": ("score @1", "both"),
    "`sessiontap relabel --list`": ("relabel --list", "both"),
    "`sessiontap stats`": ("stats --by model", "both"),
    "`sessiontap tools`": ("tools @1", "coding"),
    "`sessiontap tools --name`": ("tools @1 --name *", "coding"),
    "`sessiontap context`": ("context @1", "coding"),
    "`sessiontap cache`": ("cache @1", "coding"),
    "`sessiontap waste`": ("waste @1", "coding"),
    "`sessiontap diff`, two calls": ("diff @1/3", "coding"),
    "`sessiontap diff`, two sessions": ("diff @1 @2", "recorded"),
    "`sessiontap doctor`": ("doctor", "coding"),
    "`sessiontap trace info`": ("trace info", "both"),
    "`sessiontap trace verify`": ("trace verify", "both"),
    "`sessiontap trace prune`": ("trace prune --older-than 1d --dry-run", "both"),
    "`sessiontap push status`": ("push status", "recorded"),
    "`sessiontap rules check`": ("rules check", "both"),
    "`sessiontap rules test`": ("rules test", "both"),
    "`sessiontap rules explain`": ("rules explain @1", "both"),
}
PARTS = ("input", "cache_read", "cache_write", "output", "other")
SOMETIMES = {
    "`sessiontap show`": {"session.properties.*", "properties.*", "cost_unknown.*"},
    "`sessiontap cat`": {"properties.*", "recorded_properties.*"},
    "`sessiontap search`": {*(f"call.cost_parts.{part}" for part in PARTS), "call.error.type", "call.error.message"},
    "`sessiontap show --conversation`": {"session.properties.*"},
    "`sessiontap rules test`": {
        "expectations", "rules[].never_because.*", "rules[].nearest.*",
        *(f"moved[].{key}" for key in ("place", "calls", "example")),
    },
    "`sessiontap diff`, two sessions": {"calls[].after.error.type", "calls[].after.error.message"},
}
"""Keys of what is empty, or null, in the traces of these tests."""
_ROW = re.compile(r"^\| (`.*?`) \|(.*)\|$")
_SHAPE = re.compile(r"\]\(#([\w-]+)\)")


def sections() -> dict[str, list[tuple[list[str], str | None]]]:
    """Heading -> its rows: keys, and the shape that their values have. A sentence that names a shape is a row, too."""
    found: dict[str, list[tuple[list[str], str | None]]] = {}
    heading = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        shape = _SHAPE.search(line)
        if line.startswith("#"):
            heading = line.lstrip("# ")
            found[heading] = []
        elif row := _ROW.match(line):
            found[heading].append((re.findall("`(.*?)`", row[1]), shape[1] if shape else None))
        elif shape and heading:
            found[heading].append(([""], shape[1]))
    return found


SECTIONS = sections()


def documented(heading: str, at: str = "") -> Iterator[str]:
    """The keys of a section, with those of the shapes that it names."""
    for keys, shape in SECTIONS[heading]:
        for key in keys:
            own = at + key
            if own and not own.endswith("[]"):
                yield own
            elif own and not at:
                yield own.removesuffix("[]")
            if shape is not None:
                yield from documented(shape.capitalize(), f"{own}." if own else "")


def paths(value: Any, at: str = "") -> Iterator[str]:
    """The keys within a value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            own = f"{at}.{key}" if at else key
            yield own
            yield from paths(inner, own)
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, f"{at}[]")


def annotate(log: Path) -> None:
    """Score all sessions and calls, and label the newest session."""
    calls = [call.id for call in trace.open(log).calls()]
    sessions = [row["id"] for row in trace.open(log).query_sessions()]
    scores = [score_record(session=one, name="helpful", value=0.5, source="cli") for one in sessions]
    scores += [score_record(call=one, name="helpful", value=True, source="cli") for one in calls]
    label = {"name": "Named", "properties": {"label": "yes"}, "tags": ["labelled"]}
    append(log, [*scores, label_record(sessions=sessions[:1], source="cli", **label)])


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("traces")
    traces = {
        "coding": coding_session.write(folder / "coding"),
        "recorded": recorded.write(folder / "recorded", recorded.calls()),
    }
    for log in traces.values():
        annotate(log)
    cursor = Cursor("otlp", "http://127.0.0.1:4318")
    cursor.put_aside(recorded.call_id(1), "400 bad id")
    cursor.failed("503 down")
    file = CursorFile(path_of(traces["recorded"], cursor.target, cursor.endpoint))
    with file.held():
        file.write(cursor)
    return traces


@pytest.fixture
def answer(
    traces: dict[str, Path], own_place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str, str], list[str]]:
    (own_place / "rules.yaml").write_text(RULES)

    def answer(command: str, trace: str) -> list[str]:
        monkeypatch.setenv("SESSIONTAP_TRACE", str(traces[trace]))
        capsys.readouterr()
        main([*command.split(), "--json"])
        return [key for line in capsys.readouterr().out.splitlines() for key in paths(json.loads(line))]

    return answer


@pytest.mark.parametrize("heading", COMMANDS)
def test_the_page_has_each_key_and_no_other(heading: str, answer: Callable[[str, str], list[str]]) -> None:
    command, on = COMMANDS[heading]
    seen = {key for trace in (("coding", "recorded") if on == "both" else (on,)) for key in answer(command, trace)}
    told = set(documented(heading))
    free = {pattern for pattern in told if "*" in pattern}
    assert seen
    assert sorted(key for key in seen - told if not any(matches(key, one) for one in free)) == []
    missing = {one for one in told - seen if one not in free or not any(matches(key, one) for key in seen)}
    assert sorted(missing - SOMETIMES.get(heading, set())) == []


def matches(key: str, pattern: str) -> bool:
    return fnmatchcase(key.replace("[", "(").replace("]", ")"), pattern.replace("[", "(").replace("]", ")"))


def test_every_command_with_json_has_a_section() -> None:
    headed = {heading for heading in SECTIONS if heading.startswith("`sessiontap")}
    elsewhere = {"`sessiontap env`", "`sessiontap replay`"}  # test_replay_input.py
    assert headed == {*COMMANDS, *elsewhere}
