"""The process tree that a process belongs to, for the id source `process-tree`.

There is one tree per direct child of the leader of a login session, container or service, or per leader, if that is no
shell. So a script and its helpers share one. The root is found by walking up from the process, and stopping below the
first of these:

1. the edge of its session (setsid), container or systemd unit: the parent is in another one;
2. a shell at its prompt that leads its session or its process group, as job control has it: each command that a person
   types is a tree, in a shell within a shell too. (A shell that a program talks to through a pipe leads neither, and
   belongs to that program.) A session's leader that runs a `-c` text is such a shell: `ssh host 'a & b'`;
3. a starter: init, a service manager, cron, a terminal, a container's tiny init. Most open a session for what they
   start; the table is for those that do not;
4. the top of what is visible.

So in `bash -> agent.sh -> python -> node tool.js` all share the tree of agent.sh. A service or container whose first
process is a program or a shell script is one tree with that process as root.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sessiontap.callers.caller import Process
from sessiontap.callers.names import Shell

_STARTERS = """
    init systemd systemd-executor launchd upstart runit runsvdir runsv s6-svscan s6-supervise supervisord monit
    openrc-run start-stop-daemon tini tini-static dumb-init catatonit docker-init podman-init
    cron crond atd anacron fcron xinetd inetd
    sshd sshd-session dropbear mosh-server login agetty getty su-login telnetd
    containerd-shim containerd-shim-runc-v2 containerd-shim-runc-v1 dockerd containerd conmon crio runc crun
    lxc-start incusd lxd systemd-nspawn
    tmux screen SCREEN zellij dtach abduco byobu
    gnome-terminal-server gnome-terminal konsole xterm uxterm rxvt urxvt alacritty kitty foot footserver wezterm
    wezterm-gui wezterm-mux-server ghostty terminator tilix xfce4-terminal lxterminal qterminal ptyxis
    ptyxis-agent kgx st Terminal iTerm2 iTermServer WindowsTerminal.exe OpenConsole.exe conhost.exe
    gnome-shell gnome-session-binary plasmashell kwin_wayland kwin_x11 krunner startplasma-wayland Xorg Xwayland
    sway i3 Hyprland xfce4-session xfce4-panel cinnamon mutter Finder Dock
    explorer.exe services.exe svchost.exe wininit.exe winlogon.exe userinit.exe
"""
STARTERS = frozenset(_STARTERS.split())


@dataclass(frozen=True, slots=True)
class TreeMember:
    """A process as the walk sees it; what is unknown is None and stops nothing.

    `session` and `group` are the pids of the leaders of its session and of its process group.
    """

    process: Process
    session: int | None = None
    group: int | None = None
    shell: Shell | None = None
    container: str | None = None
    unit: str | None = None


def root(ancestry: Sequence[TreeMember]) -> Process | None:
    """The root of the tree that `ancestry[0]` belongs to; the rest are its ancestors, parent first."""
    if not ancestry:
        return None
    below = ancestry[0]
    for above in ancestry[1:]:
        if _edge(below, above) or _at_prompt(above) or _is_starter(above.process):
            break
        below = above
    return below.process


def _edge(below: TreeMember, above: TreeMember) -> bool:
    left_session = None not in (below.session, above.session) and below.session != above.session
    return left_session or (below.container, below.unit) != (above.container, above.unit)


def _at_prompt(member: TreeMember) -> bool:
    pid, leads_session = member.process.pid, member.session == member.process.pid
    if member.shell == "prompt":
        return leads_session or member.group == pid or (member.session, member.group) == (None, None)
    return member.shell == "text" and leads_session


def _is_starter(process: Process) -> bool:
    # `tmux: server` is tmux, `sshd: user@pts/0` sshd
    return any(name.partition(":")[0] in STARTERS for name in process.names or (process.name,))
