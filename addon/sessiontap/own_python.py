"""Start a Python of our own, the proxy of `exec` and the demo or the recorder, and wait for its end.

It runs in whatever folder its user is in. So it takes no module from there: a `yaml.py` or
a folder `sessiontap` in the working directory is data, not code that the proxy runs.

It runs without assertions (`-O`): mitmproxy has some in each event of a connection and each message, which take a tenth
of its CPU time.
"""

from __future__ import annotations

import contextlib
import os
import select
import site
import sys
from collections.abc import Mapping
from functools import cache
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from typing import NoReturn

PACKAGE_FOLDER = Path(__file__).resolve().parents[1]
"""The folder that the package is imported from: a checkout, or site-packages."""


def command(*arguments: str) -> list[str]:
    """Return the command line of a Python that runs `arguments` without the working directory in its module path."""
    return [sys.executable, "-P", *(["-O"] if keeps_optimized_code() else []), *arguments]


def go_on_without_assertions() -> None:
    """Replace this process by one that does the same in a Python without assertions, if it is not one already."""
    if __debug__ and os.name == "posix" and keeps_optimized_code():
        os.execv(sys.executable, [sys.executable, "-O", *sys.orig_argv[1:]])


@cache
def keeps_optimized_code() -> bool:
    """Return True if the byte code without assertions is cached, or can be. Else each start would compile mitmproxy."""
    spec = find_spec("mitmproxy")
    if spec is None or spec.origin is None:
        return False
    try:
        cached = Path(cache_from_source(spec.origin, optimization="1"))
    except NotImplementedError:  # an interpreter without caches
        return False
    if cached.exists():
        return True
    folder = next(one for one in cached.parents if one.exists())
    return not sys.dont_write_bytecode and os.access(folder, os.W_OK)


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` for such a Python: the package is found, and `PYTHONPATH` names no relative folder.

    An empty entry of `PYTHONPATH` means the working directory as much as `.` does. Absolute ones stay: whoever wrote
    them named a folder.
    """
    given = environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = [entry for entry in given if os.path.isabs(entry)]
    if str(PACKAGE_FOLDER) not in kept and not _is_site(PACKAGE_FOLDER):
        kept.insert(0, str(PACKAGE_FOLDER))
    others = {name: value for name, value in environ.items() if name != "PYTHONPATH"}
    return {**others, "PYTHONPATH": os.pathsep.join(kept)} if kept else others


def wait_for_end(pid: int, seconds: float | None = None) -> None:
    """Wait until this child of ours has ended, `seconds` at most.

    `subprocess` looks now and then if it has, and is up to 50 ms late. A system without pidfd_open returns at once.
    """
    with contextlib.suppress(OSError, AttributeError):
        end = os.pidfd_open(pid)
        try:
            waiting = select.poll()
            waiting.register(end, select.POLLIN)
            waiting.poll(None if seconds is None else seconds * 1000)
        finally:
            os.close(end)


def end_process(status: int = 0) -> NoReturn:
    """End this process without taking its modules apart, which takes 10 ms. No exit handlers are called."""
    import logging  # 6 ms that others who import this module do not spend

    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none
            stream.flush()
    os._exit(status)


def _is_site(folder: Path) -> bool:
    """Return True if Python looks there anyway, behind its own modules."""
    sites = [*site.getsitepackages(), site.getusersitepackages()]
    return folder in [Path(one).resolve() for one in sites]
