"""The recording of a test: a folder of the log, beside the test's file.

    tests/recordings/test_weather/test_rain/20261121T050603.000001Z-4711-9f3a2c.mpk.zst

It is a log like any other: `sessiontap ls --trace tests/recordings/test_weather/test_rain`. Credentials are redacted in
it, prompts and replies are not: look at what you commit.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from sessiontap import private
from sessiontap.trace import RecordedCall, Trace
from sessiontap.trace.closing import close_segment
from sessiontap.trace.files import CLOSED_SUFFIX
from sessiontap.trace.rewriting import remove_records

_UNFIT = re.compile(r"[^A-Za-z0-9_.=-]+")
_LONGEST = 100
"""Characters of a folder's name."""
_DIGITS = 10


def recording_of(file: Path, test: str, of_class: type | None, folder: str) -> Path:
    """Return the folder of a test's recording: `folder/FILE/[CLASS/]TEST`, beside the test's file."""
    names = [file.stem, *([of_class.__name__] if of_class is not None else []), test]
    return file.parent.joinpath(folder, *map(_file_name, names))


def _file_name(name: str) -> str:
    """Return a name that no other test has: one that is changed by more than its brackets ends in a digest."""
    plain = name.removesuffix("]").replace("[", "-", 1)
    fit = _UNFIT.sub("-", plain).strip("-.")
    if fit == plain and len(fit) <= _LONGEST:
        return fit
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"{fit[: _LONGEST - _DIGITS - 1]}-{digest}".lstrip("-")


def recorded_calls(folder: Path) -> list[RecordedCall]:
    """Return all calls of a recording, oldest first, warm-ups too; none if there is no recording."""
    if not folder.is_dir():
        return []
    return list(Trace(folder).calls(newest_first=False, warm_ups=True))


def save(log: Path, since: int, folder: Path) -> int:
    """Make the calls of `log` that began at or after `since` (Unix nanoseconds) the recording in `folder`.

    Return how many they are. If there are none nothing changes. Raises OSError.
    """
    all_calls = [(one.record["time"], one.id) for one in Trace(log).calls(warm_ups=True)]
    before = {id for time, id in all_calls if time < since}
    if len(before) == len(all_calls):
        return 0
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    private.make(draft)
    for segment in Trace(log).segments():
        copy = draft / segment.path.name
        shutil.copyfile(segment.path, copy)
        plain = copy.with_name(copy.name.removesuffix(CLOSED_SUFFIX))
        remove_records(plain, before, dry_run=False)
        close_segment(plain, ours=True)
    if folder.exists():
        shutil.rmtree(folder)
    draft.rename(folder)
    return len(all_calls) - len(before)

