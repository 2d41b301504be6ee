"""Variables as text that a shell evaluates, in the way of quoting in which nothing but the quote is special."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping


def _bash(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"


def _fish(name: str, value: str) -> str:
    # In fish's single quotes only \ and ' are special.
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{quoted}'"


def _pwsh(name: str, value: str) -> str:
    # PowerShell takes the typographic single quotes for quotes too.
    quoted = "".join(char * 2 if char in "'‘’‚‛" else char for char in value)
    return f"$env:{name} = '{quoted}'"


LINES: dict[str, Callable[[str, str], str]] = {"bash": _bash, "fish": _fish, "pwsh": _pwsh}
"""A shell -> a line that sets and exports one variable. `bash` is every POSIX shell."""


def script(shell: str, variables: Mapping[str, str]) -> str:
    """Lines for `eval "$(...)"`, `| source`, `| Invoke-Expression`."""
    return "".join(f"{LINES[shell](name, value)}\n" for name, value in variables.items())


def docker(variables: Mapping[str, str], mounts: Mapping[str, str]) -> str:
    """Arguments of `docker run`, quoted for `eval docker run "$(...)" IMAGE`.

    `mounts`: file on this machine -> file in the container, read-only.
    """
    words = ["--add-host=host.docker.internal:host-gateway"]
    for source, target in mounts.items():
        words.append(f"--mount=type=bind,source={source},target={target},readonly")
    for name, value in variables.items():
        words += ["-e", f"{name}={value}"]
    return shlex.join(words) + "\n"
