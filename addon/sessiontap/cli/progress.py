"""A bar on stderr for work that takes long: on a terminal only, and not before somebody would begin to wonder."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator

Report = Callable[[int, int], None]
"""Told what is done and all that there is, in whatever unit."""

PATIENCE = 0.4
"""Seconds without a bar."""


@contextlib.contextmanager
def progress(title: str) -> Iterator[Report]:
    """Gives what is to be told how far the work is. The bar is gone at the end.

    None where stdout goes to another program: what that shows would be drawn over.
    """
    if not sys.stderr.isatty() or _is_piped():
        yield _nothing
        return
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        shown: list[Report] = []

        def report(done: int, total: int) -> None:
            if not shown and time.monotonic() - began >= PATIENCE:
                shown.append(stack.enter_context(_bar(title)))
            if shown:
                shown[0](done, total)

        yield report


def _is_piped() -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):  # no file at all
        return False


def _nothing(done: int, total: int) -> None:
    pass


@contextlib.contextmanager
def _bar(title: str) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield report
