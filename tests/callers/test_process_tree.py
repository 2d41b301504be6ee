"""The root of a process's tree, by plain lists of ancestors: the process first, its parent next, and so on."""

from __future__ import annotations

import pytest

from sessiontap.callers.caller import Process
from sessiontap.callers.names import Shell
from sessiontap.callers.process_tree import TreeMember, root


def member(
    name: str,
    pid: int,
    session: int | None,
    group: int | None = None,
    shell: Shell | None = None,
    container: str | None = None,
    unit: str | None = None,
) -> TreeMember:
    return TreeMember(Process(pid, name, None, (name,)), session, group, shell, container, unit)


PROMPT = member("bash", 100, 100, 100, "prompt")
TERMINAL = member("gnome-terminal-server", 50, 50, 50)
INIT = member("systemd", 1, 1, 1)

CHAINS = {
    "a command that was typed": ("agent.py", [member("agent.py", 200, 100, 200), PROMPT, TERMINAL, INIT]),
    "a script and its helpers": (
        "agent.sh",
        [
            member("tool.js", 230, 100, 200),
            member("sh", 220, 100, 200, "text"),
            member("plan.py", 210, 100, 200),
            member("agent.sh", 200, 100, 200, "script"),
            PROMPT,
            TERMINAL,
        ],
    ),
    "a shell within a shell: the nearer prompt": (
        "agent.py",
        [member("agent.py", 300, 100, 300), member("bash", 200, 100, 200, "prompt"), PROMPT],
    ),
    "a shell at the end of a pipe is its program's": (
        "agent.py",
        [member("curl", 302, 100, 300), member("bash", 301, 100, 300, "prompt"), member("agent.py", 300, 100), PROMPT],
    ),
    "over ssh, the command shell leads the session": (
        "a.py",
        [member("a.py", 210, 200, 200), member("bash", 200, 200, 200, "text"), member("sshd", 190, 190)],
    ),
    "over ssh, the shell gave way to the command": ("a.py", [member("a.py", 200, 200), member("sshd", 190, 190), INIT]),
    "a service: its leader is no shell": (
        "worker.py",
        [
            member("worker.py", 310, 300, unit="/system.slice/agent.service"),
            member("worker.py", 300, 300, unit="/system.slice/agent.service"),
            INIT,
        ],
    ),
    "a service that is a shell script": (
        "run.sh",
        [member("a.py", 310, 300), member("run.sh", 300, 300, 300, "script"), INIT],
    ),
    "cron's job, not cron": (
        "a.py",
        [member("a.py", 402, 400), member("sh", 400, 400, 400, "text"), member("cron", 30, 30), INIT],
    ),
    "a supervisor that opens no session": ("a.py", [member("a.py", 402, 30, 402), member("supervisord", 30, 30), INIT]),
    "a detached process leads its own session": ("d.py", [member("d.py", 500, 500), member("x.py", 499, 100), PROMPT]),
    "the first process of a container is the program": (
        "app.py",
        [
            member("w.py", 12, 1, container="c1"),
            member("app.py", 10, 1, container="c1"),
            member("containerd-shim", 9, 1),
        ],
    ),
    "a container's edge needs no table": (
        "app.py",
        [member("app.py", 10, 9, container="c1"), member("unheard-of-shim", 9, 9)],
    ),
    "a container's tiny init": ("app.py", [member("app.py", 7, 1), member("tini", 1, 1)]),
    "seen from inside, pid 1 is the program": ("app.py", [member("w.py", 7, 1), member("app.py", 1, 1)]),
    "a desktop's app in a scope of its own": (
        "chat",
        [member("chat", 700, 60, unit="/user/app-chat.scope"), member("new-desktop", 60, 60, unit="/user/d.scope")],
    ),
    "a title says who it is": ("a.py", [member("a.py", 700, 60), member("tmux: server", 60, 60)]),
    "sessions unknown, as on Windows": (
        "a.py",
        [member("b.py", 9, None), member("a.py", 8, None), member("pwsh", 7, None, None, "prompt")],
    ),
    "it has outlived its parents": ("a.py", [member("a.py", 200, 100, 200), INIT]),
    "nothing above it": ("a.py", [member("a.py", 200, 200)]),
    "the prompt itself": ("bash", [PROMPT, TERMINAL]),
}  # fmt: skip


@pytest.mark.parametrize(("name", "chain"), CHAINS.values(), ids=CHAINS)
def test_root(name: str, chain: list[TreeMember]) -> None:
    found = root(chain)
    assert found is not None
    assert found.name == name


def test_no_process_no_root() -> None:
    assert root([]) is None


def test_helpers_of_different_depth_share_the_root() -> None:
    script = member("agent.sh", 200, 100, 200, "script")
    near = [member("a.py", 210, 100, 200), script, PROMPT]
    far = [member("b.py", 220, 100, 200), *near]
    assert root(near) == root(far) == script.process
