"""Completion in bash, zsh and fish: the scripts that click makes, and the places where a shell finds them."""

from __future__ import annotations

import os
from pathlib import Path

import click

from sessiontap.cli.errors import Failure, Misuse

FILES = {
    "bash": ".bash_completions/sessiontap.sh",
    "zsh": ".zfunc/_sessiontap",
    "fish": ".config/fish/completions/sessiontap.fish",
}
"""Shell -> the file of its script, in the home folder."""
STARTUP = {
    "bash": (".bashrc", "source ~/.bash_completions/sessiontap.sh"),
    "zsh": (".zshrc", "fpath+=~/.zfunc; autoload -Uz compinit; compinit"),
}
"""Shell -> its startup file, and the line there that loads the script. fish loads it by itself."""


def find_shell(name: str) -> str:
    """The shell of this name; without one, the user's own by SHELL. Raises Misuse."""
    shell = name or Path(os.environ.get("SHELL", "")).name
    if shell not in FILES:
        said = f"there is no completion for {shell!r}" if shell else "SHELL does not say which shell is yours"
        raise Misuse(said, f"name one of {', '.join(FILES)}")
    return shell


def script(shell: str, command: click.Command) -> str:
    """The script that a shell runs to complete `sessiontap`."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # click knows all of FILES
    return found(command, {}, "sessiontap", "_SESSIONTAP_COMPLETE").source()


def install(shell: str, command: click.Command) -> Path:
    """Write the script to where the shell looks for it, and return the file. Raises Failure."""
    home = Path.home()
    file = home / FILES[shell]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(script(shell, command), encoding="utf-8")
        if shell in STARTUP:
            name, line = STARTUP[shell]
            _append(home / name, line)
    except OSError as error:
        raise Failure(f"{error.filename} cannot be written: {error.strerror}", "install the script by hand") from None
    return file


def _append(file: Path, line: str) -> None:
    """Add a line to a startup file that has not got it."""
    text = file.read_text(encoding="utf-8", errors="surrogateescape") if file.exists() else ""
    if line not in text.splitlines():
        with file.open("a", encoding="utf-8") as out:
            out.write(f"{'' if not text or text.endswith(chr(10)) else chr(10)}{line}\n")
