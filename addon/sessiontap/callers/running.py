"""Tell whether a process that was found before still runs. For readers of the log, at any time later."""

from __future__ import annotations

import os
import sys

from sessiontap.callers.caller import machine, process_id


def is_running(where: str, pid: int, id: str) -> bool | None:
    """Return True if the process `id` (`Caller.id`) runs, False if it has ended; None if that cannot be known here.

    `where`: `machine()` of whoever found it. Another boot, machine or pid namespace knows the number by another name.
    """
    if where != machine():
        return None
    return _is_in_proc(pid, id) if sys.platform == "linux" else _is_known_to_psutil(pid, id)


def is_alive(pid: int, *, of_others: bool = True) -> bool:
    """Return True if there is such a process. `of_others`: another user's counts, too, if it can be told apart."""
    if os.name != "posix":  # there a signal of number 0 is Ctrl-C
        import psutil

        return psutil.pid_exists(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return of_others
    return True


def _is_in_proc(pid: int, id: str) -> bool | None:
    from sessiontap.callers.procfs import ProcessFolder

    try:
        with ProcessFolder(pid) as folder:
            stat = folder.stat()
    except ProcessLookupError:  # it ended while we looked
        return False
    except FileNotFoundError:
        return None if is_alive(pid) else False  # another user's, with `hidepid`
    except (OSError, ValueError):
        return None
    return stat.state not in "ZX" and process_id(machine(), pid, stat.ticks) == id


def _is_known_to_psutil(pid: int, id: str) -> bool | None:
    import psutil

    from sessiontap.callers.portable import identity

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and identity(process) == id
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, OSError):
        return None
