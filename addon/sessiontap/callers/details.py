"""Read a Linux process into its `Caller`, remembered per (pid, start time).

What a program can change under the same pid is read anew at each look-up, for about 20 microseconds: comm, executable,
command line (exec(2), a title) and working folder. The rest is read once. Ancestors stay as first seen: they are who
started the process, which a parent that has ended since does not change.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sessiontap.bounded import BoundedDict
from sessiontap.callers import procfs, tree
from sessiontap.callers.caller import Caller, Process, machine, process_id
from sessiontap.callers.names import Names, names
from sessiontap.callers.procfs import ProcessFolder, Stat

_CALLERS = 512
_ANCESTORS = 1024
_DEPTH = 64


type _Image = tuple[str, str | None, bytes, int]
"""comm, executable, command line, and the mark that an exec(2) changes."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The facts that a Caller was made from, to tell whether it still holds."""

    image: _Image
    asked: frozenset[str]
    """The variables that were looked for."""
    env: Mapping[str, str]
    caller: Caller


class Details:
    """Bounded memory of processes. Safe to use from several threads: values are replaced, never changed."""

    def __init__(self) -> None:
        self._seen: BoundedDict[tuple[int, int], _Seen] = BoundedDict(_CALLERS)
        self._members: BoundedDict[tuple[int, int, str], tree.Member] = BoundedDict(_ANCESTORS)

    def read(self, folder: ProcessFolder, env_names: frozenset[str]) -> Caller:
        """Return the caller as it is now. Raises OSError or ValueError if the process has ended or cannot be read."""
        stat = folder.stat()
        image = (stat.comm, folder.link("exe"), folder.command_line(), stat.stack)
        key = (folder.pid, stat.ticks)
        seen = self._seen.get(key)
        if stat.state in "ZX":  # it ends while we look: what is left of it is less than we knew
            if seen is None:
                raise ProcessLookupError(f"process {folder.pid} has ended")
            return seen.caller if env_names <= seen.asked else replace(seen.caller, env_unread=True)
        cwd = folder.link("cwd")
        if seen is not None and seen.image == image:
            caller, asked, env, unread = seen.caller, seen.asked, seen.env, seen.caller.env_unread
        else:
            caller = self._make(folder, stat, image, seen.caller if seen else None)
            asked, env, unread = frozenset(), {}, False
        if not env_names <= asked:
            asked |= env_names
            found = folder.environ(asked)
            env, unread = found or {}, found is None
        shown = env if asked == env_names else {name: env[name] for name in env_names if name in env}
        if caller.cwd != cwd or caller.env != shown or caller.env_unread != unread:
            caller = replace(caller, cwd=cwd, env=shown, env_unread=unread)
        if seen is None or caller is not seen.caller or asked is not seen.asked:
            self._seen.put(key, _Seen(image, asked, env, caller))
        return caller

    def forget(self) -> None:
        """Empty the memory."""
        self._seen.clear()
        self._members.clear()

    def _make(self, folder: ProcessFolder, stat: Stat, image: _Image, before: Caller | None) -> Caller:
        comm, exe, command_line, _ = image
        argv = procfs.parse_command_line(command_line)
        named = names(comm, exe, argv)
        group = procfs.parse_cgroup(folder.cgroup())
        uid = folder.uid()
        id = process_id(machine(), folder.pid, stat.ticks)
        member = _member(folder.pid, id, stat, named, group)
        process = member.process
        if before is None:
            lineage = self._lineage(stat)
            ancestors, root = tuple(each.process for each in lineage), tree.root((member, *lineage))
        else:
            ancestors, root = before.ancestors, before.tree
            if root is not None and root.id == id:  # exec: still the root, by its new name
                root = process
        return Caller(
            id=id,
            pid=process.pid,
            started=process.started,
            name=named.name,
            names=named.all,
            exe=exe,
            argv=argv,
            user=_user(uid),
            uid=uid,
            ancestors=ancestors,
            container=group.container,
            tree=root,
        )

    def _lineage(self, stat: Stat) -> list[tree.Member]:
        """The ancestors, parent first, as far up as can be seen."""
        chain: list[tree.Member] = []
        while stat.ppid > 0 and len(chain) < _DEPTH:
            try:
                with ProcessFolder(stat.ppid) as folder:
                    above = folder.stat()
                    if above.ticks > stat.ticks:  # a later process by its parent's old number
                        break
                    chain.append(self._ancestor(folder, above))
                    stat = above
            except (OSError, ValueError):
                break
        return chain

    def _ancestor(self, folder: ProcessFolder, stat: Stat) -> tree.Member:
        key = (folder.pid, stat.ticks, stat.comm)
        member = self._members.get(key)
        if member is None:
            argv = procfs.parse_command_line(folder.command_line())
            named = names(stat.comm, folder.link("exe"), argv)
            id = process_id(machine(), folder.pid, stat.ticks)
            member = _member(folder.pid, id, stat, named, procfs.parse_cgroup(folder.cgroup()))
            self._members.put(key, member)
        return replace(member, session=stat.session, group=stat.group)


def _member(pid: int, id: str, stat: Stat, named: Names, group: procfs.ControlGroup) -> tree.Member:
    process = Process(pid, named.name or "", procfs.started(stat.ticks), named.all, id)
    return tree.Member(process, stat.session, stat.group, named.shell, group.container, group.unit)


def knows_user(uid: int | None) -> bool:
    """Whether the account's name is at hand. Naming one may ask a directory service, over the network."""
    return uid is None or _USERS.get(uid) is not None


def warm_up() -> None:
    """Name the proxy's own user, who is that of most clients too."""
    _user(os.geteuid())


def _user(uid: int | None) -> str | None:
    """Return the account's name; None if it has none."""
    import pwd  # not on Windows

    if uid is None:
        return None
    known = _USERS.get(uid)
    if known is None:
        try:
            known = procfs.text(pwd.getpwuid(uid).pw_name)
        except (KeyError, OSError):
            known = ""
        _USERS.put(uid, known)
    return known or None


_USERS: BoundedDict[int, str] = BoundedDict(256)
