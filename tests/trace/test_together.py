"""Logs of several machines, in folders of their own, that are read as one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.machine_logs import Write, call, log_writer
from tests.trace.conftest import ids
from tests.trace.oracle import pair, session_rows

from sessiontap import trace
from sessiontap.trace import Filters, Trace, TraceError, maintenance
from sessiontap.trace.annotations import annotate, annotations_in, label_record, score_record
from sessiontap.trace.backlog import Backlog, ScoreBacklog
from sessiontap.trace.files import segments
from sessiontap.trace.folders import are_several, named_in, read_together

SECOND = 1_000_000_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def log_of(tmp_path: Path) -> Write:
    return log_writer(tmp_path / "logs")


@pytest.fixture
def two(log_of: Write) -> tuple[Path, Path]:
    """Four calls of one session, those of even steps by machine a; and a session of each machine alone."""
    a = log_of("a", call(0), call(2), call(10, session="of a"))
    b = log_of("b", call(1), call(3), call(11, session="of b"))
    return a, b


@pytest.fixture
def log(two: tuple[Path, Path]) -> Iterator[Trace]:
    log = trace.open(two)
    yield log
    log.close()


def contents(*folders: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for folder in folders for file in folder.rglob("*")}


def test_sessions_that_cross_machines_are_one(log: Trace) -> None:
    assert [(row["id"], row["calls"], row["machines"]) for row in log.query_sessions()] == [
        ("of b", 1, ["b"]),
        ("of a", 1, ["a"]),
        ("shared", 4, ["a", "b"]),
    ]
    assert log.query_sessions() == session_rows(pair(call) for call in log.calls())


def test_calls_say_whose_they_are(log: Trace) -> None:
    assert [(row["step"], row["machine"]) for row in log.query_session("shared")["calls"]] == [
        (0, "a"), (1, "b"), (2, "a"), (3, "b"),
    ]  # fmt: skip
    assert [call.machine for call in log.calls(newest_first=False)] == ["a", "b", "a", "b", "a", "b"]
    assert [call.machine for call in log.calls(filters=Filters())] == ["b", "a", "b", "a", "b", "a"]
    assert log.call("@1").machine == "b"


def test_sums_are_those_of_the_parts(log: Trace, two: tuple[Path, Path]) -> None:
    parts = [trace.open(folder).query_sums() for folder in two]

    assert log.query_sums()["calls"] == sum(part["calls"] for part in parts) == 6
    assert log.query_sums()["body_bytes"] == sum(part["body_bytes"] for part in parts)
    assert {row["machine"]: row["calls"] for row in log.stats("machine")} == {"a": 3, "b": 3}


def test_a_machine_is_filtered_by_its_name(log: Trace) -> None:
    assert ids(log.query_sessions(Filters(machine="A"))) == ["of a", "shared"]
    assert len(log.query_calls(Filters(machine="[ab]"))) == 6
    assert log.query_unmatched(Filters(machine="c"))[0].known == ("a", "b")


@pytest.mark.parametrize("deep", ["", "trace"], ids=["HOST", "HOST/trace"])
def test_a_folder_of_folders_is_read_as_one(log_of: Write, tmp_path: Path, deep: str) -> None:
    for number, machine in enumerate(("a", "b", "c")):
        log_of(machine, call(number), folder=f"{machine}/{deep}")

    with_others = trace.open(tmp_path / "logs")

    assert [row["calls"] for row in with_others.query_sessions()] == [3]
    assert with_others.query_machines() == ["a", "b", "c"]


def test_a_folder_that_comes_later_is_read_too(log_of: Write, tmp_path: Path) -> None:
    log_of("a", call(0))
    log = trace.open(tmp_path / "logs")
    news = log.news()
    assert log.query_machines() == ["a"]

    log_of("b", call(1))

    assert log.query_machines() == ["a", "b"]
    assert [call.machine for call in news()] == ["b"]


def test_reading_writes_nothing_to_the_folders(two: tuple[Path, Path], home: Path) -> None:
    before = contents(*two)
    log = trace.open(two)
    log.query_sessions()
    log.rebuild_index()
    log.close()

    assert contents(*two) == before
    assert (log.folder / "index.sqlite").is_file()
    assert log.folder.is_relative_to(home / ".sessiontap" / "together")
    assert log.folder.stat().st_mode & 0o077 == 0


def test_the_index_is_found_again(two: tuple[Path, Path]) -> None:
    assert trace.open(two).folder == trace.open([str(one) for one in two]).folder
    assert trace.open(two).folder != trace.open(two[::-1]).folder


@pytest.mark.parametrize("named", [["a"], ["missing"], ["empty"]], ids=lambda named: named[0])
def test_one_folder_is_read_alone(log_of: Write, tmp_path: Path, named: list[str]) -> None:
    log_of("a", call(0))
    (tmp_path / "logs" / "empty" / "push").mkdir(parents=True)
    place = tmp_path / "logs" / named[0]

    assert read_together([place]) == place
    assert named_in(place) == [place]
    assert not are_several(place)


def test_a_folder_that_is_not_there_is_named(two: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=f"there is no trace folder {tmp_path}/missing"):
        trace.open([*two, tmp_path / "missing"])


def test_segments_of_one_name_are_two(two: tuple[Path, Path]) -> None:
    a, b = (next(folder.glob("*.mpk")) for folder in two)
    same = b.rename(b.with_name(a.name))

    log = trace.open(two)

    assert list(segments(log.folder)) == [a, same]
    assert log.query_sums()["calls"] == 6
    assert [call.machine for call in log.calls(newest_first=False)] == ["a", "b", "a", "b", "a", "b"]
    assert len(list(Backlog(log.folder))) == 6


def test_a_copy_of_a_segment_is_read_once(two: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(two[0], tmp_path / "copy")
    older = next((tmp_path / "copy").glob("*.mpk"))
    os.truncate(older, older.stat().st_size - 20)

    log = trace.open([tmp_path / "copy", *two])

    assert log.query_sums()["calls"] == 6
    assert older not in segments(log.folder)


def test_a_log_without_the_name_of_its_machine_goes_by_its_folder(log_of: Write, tmp_path: Path) -> None:
    a, b = log_of("a", call(0)), log_of("", call(1), folder="older")

    assert trace.open([a, b]).query_machines() == ["a", "older"]


def test_news_go_on_from_a_position_in_each_folder(log_of: Write) -> None:
    a, b = log_of("a", call(0)), log_of("b", call(1))
    position = trace.open([a, b]).news().position
    log_of("b", call(3))
    log_of("a", call(2))

    later = trace.open([a, b]).news(position=position)

    assert sorted(call.record["session"]["step"] for call in later()) == [2, 3]
    assert list(later()) == []


def test_a_backlog_goes_on_from_its_position(log_of: Write) -> None:
    a, b = log_of("a", call(0)), log_of("b", call(1))
    log = trace.open([a, b])
    backlog = Backlog(log.folder)
    assert [call.machine for call, _ in backlog] == ["a", "b"]
    log_of("a", call(2))

    again = Backlog(log.folder, backlog.position)

    assert log.count_behind(backlog.position).calls == 1
    found = [(call.machine, origin) for call, origin in again]
    assert [machine for machine, _ in found] == ["a"]
    assert again.at(found[0][1], call(2)["id"]).machine == "a"


def test_a_score_is_written_to_the_folder_of_its_call(log: Trace, two: tuple[Path, Path]) -> None:
    a, b = two
    backlog = ScoreBacklog(log.folder)
    of_call = score_record(call=call(2)["id"], name="helpful", value=1, source="cli")
    of_session = score_record(session="shared", name="star", value=True, source="cli")

    log.annotate([of_call, of_session])

    assert _annotations(a) == [of_call]
    assert _annotations(b) == [of_session], "its newest call is there"
    assert log.query_sessions(Filters(starred=True))[0]["id"] == "shared"
    assert {record["id"] for record in backlog} == {of_call["id"], of_session["id"]}
    assert list(backlog) == []


def test_a_label_moves_calls_of_all_machines_and_is_undone(log: Trace, two: tuple[Path, Path]) -> None:
    label = label_record(sessions=["of a"], session="of b", source="cli")

    log.annotate([label])
    assert [(row["id"], row["calls"], row["machines"]) for row in log.query_sessions(Filters(session="of"))] == [
        ("of b", 2, ["a", "b"])
    ]

    log.annotate([label_record(undoes=label["id"], source="cli")])
    assert len(_annotations(two[0])) == 2
    assert [row["calls"] for row in log.query_sessions(Filters(session="of"))] == [1, 1]


def test_nothing_is_written_if_one_folder_can_only_be_read(
    log: Trace, two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    log.query_sums()
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != two[1])
    records = [score_record(session=id, name="star", value=True, source="cli") for id in ("of a", "of b")]

    with pytest.raises(TraceError, match=f"nothing was written: the call is in {two[1]}, which can only be read"):
        log.annotate(records)

    assert _annotations(*two) == []


def test_nothing_is_written_to_several_folders_at_once(log: Trace) -> None:
    with pytest.raises(TraceError, match="none was chosen"):
        annotate(log.folder, [score_record(session="shared", name="star", value=True, source="cli")])
    with pytest.raises(TraceError, match="is in none of"):
        log.annotate([score_record(session="unknown", name="star", value=True, source="cli")])


def test_logs_are_pruned_one_at_a_time(log: Trace, two: tuple[Path, Path]) -> None:
    with pytest.raises(TraceError, match=f"one log is pruned at a time, and these are read together: {two[0]}, "):
        maintenance.prune(log.folder, max_bytes=0)
    assert log.query_sums()["calls"] == 6


def test_several_logs_are_verified_and_summed_up(log: Trace) -> None:
    assert maintenance.verify(log.folder).segments == 2
    assert maintenance.info(log.folder).calls == 6


def _annotations(*folders: Path) -> list[dict[str, Any]]:
    found = [path for folder in folders for path in segments(folder)]
    return [record for path in found for record in annotations_in(path)]


class TestClocks:
    """Two machines of which one's clock differs, seen by what their calls show of their order."""

    def gaps(self, log_of: Write, a: list[Any], b: list[Any]) -> list[tuple[str | None, str, float]]:
        log = trace.open([log_of("a", *a), log_of("b", *b)])
        return [(one.behind, one.ahead, one.least / SECOND) for one in log.query_clock_gaps()]

    def test_clocks_that_agree_are_not_told(self, log_of: Write) -> None:
        follows = call(1, parent=call(0)["id"], evidence="exact")
        assert self.gaps(log_of, [call(0), call(2)], [follows]) == []

    def test_a_call_that_began_before_its_parent(self, log_of: Write) -> None:
        early = call(1, at=-3.5, parent=call(0)["id"], evidence="exact")
        assert self.gaps(log_of, [call(0)], [early]) == [("b", "a", 3.5)]

    @pytest.mark.parametrize("evidence", ["weak", None])
    def test_a_parent_that_is_guessed_shows_nothing(self, log_of: Write, evidence: str | None) -> None:
        early = call(1, step=0, at=-3.5, parent=call(0)["id"], evidence=evidence)
        assert self.gaps(log_of, [call(0)], [early]) == []

    def test_the_largest_gap_of_two_machines_is_told(self, log_of: Write) -> None:
        early = [call(n, at=-n, parent=call(0)["id"], evidence="strong") for n in (1, 3, 2)]
        assert self.gaps(log_of, [call(0)], early) == [("b", "a", 3.0)]

    @pytest.mark.parametrize(("late", "told"), [(0.009, 0), (0.011, 1)])
    def test_a_small_gap_is_not_told(self, log_of: Write, late: float, told: int) -> None:
        early = call(1, at=-late, parent=call(0)["id"], evidence="exact")
        assert len(self.gaps(log_of, [call(0)], [early])) == told

    def test_steps_in_another_order_show_nothing(self, log_of: Write) -> None:
        assert self.gaps(log_of, [call(0), call(2)], [call(1, at=-3.5)]) == []

    def test_a_time_to_come(self, log_of: Write) -> None:
        ((behind, ahead, least),) = self.gaps(log_of, [call(0)], [call(1, at=3 * 10**9)])
        assert (behind, ahead) == (None, "b")
        assert least > 0

    def test_one_machine_has_one_clock(self, log_of: Write) -> None:
        place = log_of("a", call(0), call(1, at=-3.5, parent=call(0)["id"], evidence="exact"))
        assert trace.open(place).query_clock_gaps() == []
