"""The program of a process: what is the same when it is started again. For what is remembered beyond a process's life.

It is its user and its executable, and for an interpreter the script that it runs, by its path. A process that was given
its program as text (`python -c`), or at a prompt, is a program of its own.
"""

from __future__ import annotations

import posixpath

from sessiontap.callers.caller import Caller
from sessiontap.callers.names import base, interpreter, script


def program_of(caller: Caller) -> str:
    """Return the program as an opaque key."""
    exe = caller.exe or (caller.argv[0] if caller.argv else "")
    if not exe:
        return caller.id
    first = base(caller.argv[0].removeprefix("-")) if caller.argv else ""
    kind = interpreter(first) or interpreter(base(exe))
    words = caller.argv[1:]
    if kind is None:
        return _key(caller, exe, "")
    name = script(kind, words).name
    if name is None:
        return caller.id
    word = next((one for one in words if name in one), name)
    return _key(caller, exe, posixpath.normpath(posixpath.join(caller.cwd or "", word)))


def _key(caller: Caller, exe: str, run: str) -> str:
    return "\n".join((str(caller.uid), exe, run))
