"""The names of a process: the one that a person uses (`name`), and all that a rule may match (`all`).

A rule may match the kernel's name (comm), the base name of argv[0], that of the executable, and for an interpreter that
of its script. The name that a person uses is the first of script, argv[0], executable, comm that says something:

- comm is cut to 15 bytes by the kernel and may be the main thread's own name (`MainThread`), so it comes last;
- argv[0] may be `-bash` (a login shell), `/proc/self/exe` (a program that started itself again: its executable counts)
  or a title that the program wrote over its command line (`nginx: worker process`, `claude`).

A process that runs `python3 -u /srv/bot.py --fast` is `bot.py` to the person who started it (`interpreters.py`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sessiontap.callers.interpreters import Script, base, interpreter, script

if TYPE_CHECKING:
    from sessiontap.callers.caller import Caller

Shell = Literal["prompt", "text", "script"]
"""A shell waits at its prompt, runs a text (`-c`, standard input), or a script."""

_SELF = ("/proc/self/", "/proc/thread-self/", "/dev/fd/")
_DELETED = " (deleted)"


@dataclass(frozen=True, slots=True)
class Names:
    """`all` has no doubles and starts with `name`; `shell`: what a shell does, None for any other program."""

    name: str | None
    all: tuple[str, ...] = ()
    shell: Shell | None = None


def names(comm: str | None, exe: str | None, argv: Sequence[str]) -> Names:
    """Return a process's names by its comm, the path of its executable and its command line; each may be unknown."""
    image = base(exe.removesuffix(_DELETED)) if exe else ""
    program = _program(argv[0], image, alone=len(argv) == 1) if argv else ""
    kind = interpreter(program or image)
    run = script(kind, argv[1:]) if kind and argv else Script(None)
    ordered = (run.name, program, image, comm)
    unique = tuple(dict.fromkeys(form for name in ordered if name for form in _forms(name)))
    shell: Shell | None = None
    if kind is not None and kind.shell:
        shell = "script" if run.name else "text" if run.inline else "prompt"
    return Names(unique[0] if unique else None, unique, shell)


def _forms(name: str) -> tuple[str, ...]:
    """Return the forms of a name: on Windows `claude.exe` is claude."""
    return (name[:-4], name) if name.lower().endswith(".exe") and len(name) > 4 else (name,)


def _program(first: str, image: str, *, alone: bool) -> str:
    """Return the program that argv[0] names, or nothing if it names none."""
    if not first or first.startswith(_SELF):
        return ""
    if alone and " " in first and base(first) != image:
        return _title(first)
    return base(first.removeprefix("-"))


def _title(text: str) -> str:
    """Return the program in a title over the command line: `gunicorn: master [app]`, `npm exec x`, `/opt/x --y z`."""
    head = text.partition(": ")[0]
    if head.startswith("/"):
        return base(head.partition(" -")[0])
    return base(head.split(" ", 1)[0])


# -- the program, for what is remembered beyond a process's life -------------------------------------------------------


def program_of(caller: Caller) -> str:
    """Return the program of a process as an opaque key, which stays the same when it is started again.

    It is its user and its executable, and for an interpreter the script that it runs, by its path. A process that was
    given its program as text (`python -c`), or at a prompt, is a program of its own.
    """
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
