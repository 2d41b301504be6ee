"""The calls that a reader has not taken yet: in which order, from which position on, whatever happens to the files."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.push.logs import SECOND, START, Log, call, log_of

from sessiontap import trace
from sessiontap.trace import maintenance
from sessiontap.trace.backlog import Backlog


def two_proxies(folder: Path) -> None:
    """The log of two proxies that record at the same time, now."""
    first, second = Log(folder), Log(folder)
    now = (time.time_ns() - START) / SECOND
    first.write([call("c1", now), call("c3", now + 2), call("c5", now + 4, lasts=9)])
    second.write([call("c2", now + 1), call("c4", now + 3)])
    first.close()
    second.close()


def taken(backlog: Backlog, most: int = 1000) -> list[str]:
    found = []
    for recorded, _ in backlog:
        found.append(recorded.id)
        if len(found) == most:
            break
    return found


def stored(backlog: Backlog) -> dict[str, object]:
    position: dict[str, object] = json.loads(json.dumps(backlog.position))
    return position


def test_calls_come_in_the_order_in_which_they_ended_over_all_segments(tmp_path: Path) -> None:
    two_proxies(tmp_path)
    assert taken(Backlog(tmp_path)) == ["c1", "c2", "c3", "c4", "c5"]


@pytest.mark.parametrize("at", range(6))
def test_another_reader_goes_on_at_any_call(tmp_path: Path, at: int) -> None:
    two_proxies(tmp_path)
    begun = Backlog(tmp_path)
    before = taken(begun, at) if at else []
    assert before + taken(Backlog(tmp_path, stored(begun))) == ["c1", "c2", "c3", "c4", "c5"]


def test_it_gives_what_was_written_since_also_into_the_same_segment(tmp_path: Path) -> None:
    log = Log(tmp_path)
    backlog = Backlog(tmp_path)
    seen = []
    for n in range(3):
        log.write([call(f"c{n}", n)])
        log.settle()
        seen.append(taken(backlog))
    log.close()
    seen += [taken(backlog), taken(Backlog(tmp_path, stored(backlog)))]
    assert seen == [["c0"], ["c1"], ["c2"], [], []]


def test_it_goes_on_after_a_look_that_was_broken_off(tmp_path: Path) -> None:
    backlog = Backlog(log_of(tmp_path, *(call(f"c{n}", n) for n in range(4))))
    assert (taken(backlog, 2), taken(backlog)) == (["c0", "c1"], ["c2", "c3"])


def test_a_position_in_a_segment_holds_after_the_segment_is_closed(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write([call("c0"), call("c1", 1)])
    log.settle()
    backlog = Backlog(tmp_path)
    assert taken(backlog, 1) == ["c0"]
    log.close()
    Log(tmp_path).close()
    assert taken(Backlog(tmp_path, stored(backlog))) == ["c1"]


def test_each_call_has_its_caller_also_behind_a_position(tmp_path: Path) -> None:
    log_of(tmp_path, call("c0"), call("c1", 1))
    backlog = Backlog(tmp_path)
    taken(backlog, 1)
    ((recorded, origin),) = list(Backlog(tmp_path, stored(backlog)))
    assert recorded.caller is not None
    assert (recorded.caller["pid"], origin.machine) == (4711, "m")
    again = backlog.at(origin, "c1")
    assert again is not None
    assert again.caller == recorded.caller
    assert (again.request_body(), again.id) == (recorded.request_body(), "c1")
    assert backlog.at(origin, "c0") is None


def test_of_a_segment_that_was_pruned_it_goes_on_behind_the_last_call(tmp_path: Path) -> None:
    log_of(tmp_path, *(call(f"c{n}", n, session="old" if n == 0 else "s") for n in range(4)))
    backlog = Backlog(tmp_path)
    taken(backlog, 2)
    prune(tmp_path, "old")
    assert taken(Backlog(tmp_path, stored(backlog))) == ["c2", "c3"]


def test_if_that_call_is_gone_the_segment_is_read_again(tmp_path: Path) -> None:
    log_of(tmp_path, *(call(f"c{n}", n, session="old" if n == 1 else "s") for n in range(4)))
    backlog = Backlog(tmp_path)
    taken(backlog, 2)
    prune(tmp_path, "old")
    assert taken(Backlog(tmp_path, stored(backlog))) == ["c0", "c2", "c3"]


def test_a_segment_that_goes_before_all_of_it_was_read_is_told(tmp_path: Path) -> None:
    log_of(tmp_path, call("c0"), call("c1", 1))
    read, behind = Backlog(tmp_path), Backlog(tmp_path)
    taken(read)
    taken(behind, 1)
    (path,) = tmp_path.glob("*.mpk*")
    path.unlink()
    assert (taken(read), read.gone, taken(behind), len(behind.gone)) == ([], [], [], 1)
    assert behind.position == {"done": [], "open": {}}


def test_older_calls_are_passed_over(tmp_path: Path) -> None:
    log_of(tmp_path, call("c0"), call("c1", 10))
    assert taken(Backlog(tmp_path, since=START + 5 * SECOND)) == ["c1"]


def test_the_index_counts_what_is_behind(tmp_path: Path) -> None:
    log_of(tmp_path, *(call(f"c{n}", n) for n in range(4)))
    log_of(tmp_path, call("d0", 9))
    backlog = Backlog(tmp_path)
    log = trace.open(tmp_path)
    counted = [log.count_behind(backlog.position)]
    for _ in range(5):
        taken(backlog, 1)
        counted.append(log.count_behind(stored(backlog)))
    starts = [START, START + SECOND, START + 2 * SECOND, START + 3 * SECOND, START + 9 * SECOND, None]
    assert counted == [(5 - n, starts[n]) for n in range(6)]


def prune(folder: Path, session: str) -> None:
    maintenance.prune(folder, filters=trace.Filters(session=session))
