"""The limit of open files: it is raised as far as the system allows, and told if it is low.

A client takes two sockets, and finding its process a few more for a moment. Systems give a program 1,024 at first,
macOS 256, and let it have more if it asks. If there are none left, mitmproxy refuses connections until there are, and a
client whose process could not be looked up stays unknown.
"""

from __future__ import annotations

import errno
import os

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

WANTED = (1 << 16, 10_240)
"""The second is the most that macOS gives."""
FEW = 1024
"""A limit below it is told at the start."""


def raise_limit() -> int | None:
    """Raise the limit, within reason. Return the one that is then in force; None if there is none."""
    if resource is None:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in WANTED:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft == resource.RLIM_INFINITY or soft >= limit:
            break
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        except (OSError, ValueError):
            continue
        return limit
    return None if soft == resource.RLIM_INFINITY else soft


def none_left() -> bool:
    """Return True if no file can be opened at the moment."""
    try:
        os.close(os.dup(2))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False
