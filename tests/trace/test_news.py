"""The calls that are written from some moment on: which files are read for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sessiontap.trace.files import FileStatus
from sessiontap.trace.news import News, position_of
from sessiontap.trace.recorded import RecordedCall
from sessiontap.trace.segment import Segment

OPEN = Path("/log/20260101-1.open")
STATUS = FileStatus(closed=False, size=1_000, changed=1)


class Files:
    """The files of a log of one segment, and which of them were read."""

    def __init__(self) -> None:
        self.listed = {OPEN: STATUS}
        self.read: list[Path] = []

    def update(self, path: Path) -> Segment:
        self.read.append(path)
        return Segment(path)

    def load(self, segment: Segment, offset: int) -> Iterator[RecordedCall]:
        raise AssertionError("there is no call")


@pytest.mark.parametrize(
    ("now", "read"),
    [(STATUS, []), (STATUS._replace(size=1_001), [OPEN]), (STATUS._replace(closed=True, size=90), [OPEN])],
    ids=["nothing new", "a record more", "closed since"],
)
def test_a_segment_is_read_if_it_has_got_something(now: FileStatus, read: list[Path]) -> None:
    files = Files()
    news = News(lambda: files.listed, files.update, files.load, position=position_of(files.listed))
    files.listed = {OPEN: now}
    assert list(news()) == []
    assert files.read == read
