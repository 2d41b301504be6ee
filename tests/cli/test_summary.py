"""What a run came to: whose calls count, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli import recorded

from sessiontap.cli import summary

NODE, BASH = 4711, 4700


@pytest.mark.parametrize(
    ("pid", "since", "numbers"),
    [
        pytest.param(NODE, recorded.START, [3, 2, 1], id="the program's own"),
        pytest.param(BASH, recorded.START, [3, 2, 1], id="what it started"),
        pytest.param(NODE, recorded.START + 2 * recorded.SECOND, [3, 2], id="not those before"),
        pytest.param(9, recorded.START, [], id="not another's"),
    ],
)
def test_calls_of_a_program(tmp_path: Path, pid: int, since: int, numbers: list[int]) -> None:
    folder = recorded.write(tmp_path / "trace", recorded.calls())
    found = summary.calls_of_program(folder, pid, since)
    assert [call.id for call in found] == [recorded.call_id(number) for number in numbers]


def test_calls_of_a_proxy_are_those_of_its_segments(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path / "trace", recorded.calls()[:2])
    recorded.write(folder, recorded.calls()[2:], writer=2)
    assert len(summary.calls_of_proxy(folder, recorded.WRITER, 0)) == 2
    assert len(summary.calls_of_proxy(folder, 2, 0)) == 3
    assert summary.calls_of_proxy(folder, 3, 0) == []


def test_text(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path / "trace", recorded.calls())
    assert summary.summarize(summary.calls_of_proxy, folder, recorded.WRITER, 0) == (
        (
            "sessiontap: 5 calls in 2 sessions, 1 error\n"
            "  Course outline, 3 calls, 3.2s, 1,300 tokens in, 320 out, $0.0004+  "
            f"(sessiontap show {recorded.COURSE})\n"
            f"  Nightly report, 2 calls, 1.5s, 100 tokens in, 20 out, $0.0004  (sessiontap show {recorded.REPORT})\n"
        ),
        5,
    )


def test_a_trace_that_is_gone_is_said(tmp_path: Path) -> None:
    told, calls = summary.summarize(summary.calls_of_proxy, tmp_path / "gone", 1, 0)
    assert calls == 0
    assert told.startswith("sessiontap: its calls cannot be listed: there is no trace folder")


def test_a_log_whose_files_have_grown_has_more_calls(tmp_path: Path) -> None:
    folder = recorded.write(tmp_path / "trace", recorded.calls()[:2])
    before = summary.segment_sizes(folder)
    (folder / "index.sqlite").write_bytes(b"")
    assert summary.segment_sizes(folder) == before != {}
    recorded.write(folder, recorded.calls()[2:], writer=2)
    assert summary.segment_sizes(folder) != before


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert summary.segment_sizes(tmp_path / "gone") == {}
