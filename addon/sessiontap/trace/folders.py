"""The folders that a log is read from: its own, or several that are read as one.

Several are read by way of a folder of the reader's own, in `~/.sessiontap/together`: it names them, and holds what
readers write beside a log, which is the index and how far pushes have come. So reading writes nothing to the folder of
another machine, and a function that takes a log's folder takes that one, too. A segment goes by its name if it stands
in the folder itself, else by its whole path: two folders may have segments of one name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from sessiontap import private

_LIST = "folders.json"
_DEEPEST = 2
"""Levels of folders below one that is named, in which logs are looked for: `HOST/trace`."""
_SEGMENTS = (".mpk", ".mpk.zst")


def read_together(named: Sequence[Path]) -> Path:
    """Return the folder by which the logs in the folders `named`, or in folders below them, are read as one.

    If one folder is named that is a log itself and can be written, or that does not exist, it is that folder. Raises
    OSError if the reader's own folder cannot be made.
    """
    places = list(dict.fromkeys(Path(os.path.abspath(one)) for one in named))
    if len(places) == 1 and _is_read_alone(places[0]):
        return places[0]
    listed = json.dumps([str(one) for one in places])
    private.prepare_home()
    folder = private.home() / "together" / hashlib.sha256(listed.encode()).hexdigest()[:16]
    private.make(folder)
    if not (folder / _LIST).exists():
        draft = folder / f".{_LIST}.{os.getpid()}"
        private.write_text(draft, listed)
        draft.replace(folder / _LIST)
    return folder


def _is_read_alone(place: Path) -> bool:
    try:
        logs = list(_logs_below(place))
    except OSError:  # whoever reads it says why
        return True
    return logs in ([], [place]) and (os.access(place, os.W_OK | os.X_OK) or not logs)


def named_in(folder: Path) -> list[Path]:
    """Return the folders that are read as one by way of `folder`: itself if it is a log, or none."""
    try:
        listed = json.loads((folder / _LIST).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return [folder]
    return [Path(one) for one in listed]


def are_several(folder: Path) -> bool:
    """Return True if other folders are read by way of `folder`: nothing that calls say is to be written there."""
    return named_in(folder) != [folder]


def logs_in(folder: Path) -> list[Path]:
    """Return the folders that have the segments of a log. Raises OSError: one that is named cannot be listed."""
    named = named_in(folder)
    if named == [folder]:
        return named
    return list(dict.fromkeys(log for place in named for log in _logs_below(place)))


def shown(folder: Path) -> str:
    """Return the folders that are read, as they were named."""
    return ", ".join(map(str, named_in(folder)))


def name_in(folder: Path, segment: Path) -> str:
    """Return the name that a segment goes by among those of `folder`: `folder / name` is its path again."""
    return segment.name if segment.parent == folder else str(segment)


def _logs_below(place: Path, deepest: int = _DEEPEST) -> Iterator[Path]:
    """Yield `place` if it has segments, else those folders below it that have. Raises OSError."""
    below: list[Path] = []
    with os.scandir(place) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.name.endswith(_SEGMENTS):
                yield place
                return
            if deepest and entry.is_dir():
                below.append(place / entry.name)
    for one in sorted(below):
        with suppress(PermissionError, FileNotFoundError):  # such as lost+found
            yield from _logs_below(one, deepest - 1)
