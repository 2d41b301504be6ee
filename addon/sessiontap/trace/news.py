"""The calls that are written to a log from some moment on, each time that they are asked for.

The moment can be told as a text, and gone on from by another process: the newest segment of each folder that is read,
and how far those had come that were still written to.
"""

from __future__ import annotations

import re
import sys
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from sessiontap.trace.files import FileStatus
from sessiontap.trace.outcomes import is_warm_up
from sessiontap.trace.segment import Segment

if TYPE_CHECKING:
    from sessiontap.trace.recorded import RecordedCall

_END = sys.maxsize
"""The end of a segment that gets no more calls, or of which none are asked for."""
_PLACE = re.compile(r"([0-9a-f]{8}/[0-9A-Za-z.-]{1,80}):([0-9]{1,15})?")


class News:
    """Call it for the calls that were written since the last time; at first since it was made, or since `position`."""

    def __init__(
        self,
        files: Callable[[], dict[Path, FileStatus]],
        update: Callable[[Path], Segment],
        load: Callable[[Segment, int], Iterator[RecordedCall]],
        *,
        from_start: bool = False,
        position: str | None = None,
    ) -> None:
        """`files` lists the segments, `update` takes in what one has got, `load` reads a call of it.

        A `position` that is none is as no position.
        """
        self._files, self._update, self._load = files, update, load
        self._read: dict[Path, FileStatus] = {}
        self._ends: dict[Path, int] = {}
        """How far each segment was read; one that is missing is new."""
        known = _places(position)
        if not from_start:
            newest = _newest(known)
            for path, listed in files().items():
                name = _name(path)
                if name in known:
                    self._ends[path] = known[name]
                elif not known:
                    # A closed segment gets no more calls: what is in it need not be known.
                    self._ends[path] = _END if listed.closed else update(path).end
                elif name <= newest.get(name.partition("/")[0], ""):
                    self._ends[path] = _END

    @property
    def position(self) -> str:
        """How far it has read."""
        return _position(self._ends)

    def __call__(self) -> Iterator[RecordedCall]:
        for path, listed in self._files().items():
            if listed == self._read.get(path) or self._ends.get(path) == _END:
                continue
            self._read[path] = listed
            if not listed.closed and self._ends.get(path) == listed.size:
                continue  # to read it takes as long as it is large
            segment = self._update(path)
            after = self._ends.get(path, 0)
            self._ends[path] = _END if listed.closed else segment.end
            for _, offset in segment.calls[bisect_left(segment.calls, after, key=itemgetter(1)) :]:
                yield from (call for call in self._load(segment, offset) if not is_warm_up(call.record))


def _name(path: Path) -> str:
    """The name of a segment in a position: a checksum of its folder stands for that."""
    return f"{zlib.crc32(bytes(path.parent)):08x}/{path.name}"


def _newest(names: Iterable[str]) -> dict[str, str]:
    """The newest of the segments of each folder."""
    return {name.partition("/")[0]: name for name in sorted(names)}


def position_of(files: Mapping[Path, FileStatus]) -> str:
    """The position behind all that is in these segments now. None of them is read for it."""
    return _position({path: _END if one.closed else one.size for path, one in files.items()})


def _position(ends: Mapping[Path, int]) -> str:
    """A position of segments that were read so far."""
    named = {_name(path): end for path, end in ends.items()}
    newest = _newest(named).values()
    changed = {name: end for name, end in named.items() if end != _END or name in newest}
    return ",".join(f"{name}:{'' if end == _END else end}" for name, end in sorted(changed.items()))


def _places(position: str | None) -> dict[str, int]:
    """Segment -> how far it was read."""
    found = [_PLACE.fullmatch(one) for one in position.split(",")] if position else []
    return {one[1]: int(one[2]) if one[2] else _END for one in found if one is not None}
