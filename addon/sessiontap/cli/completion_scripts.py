"""Completion in bash, zsh and fish: the scripts that click makes, and the places where a shell finds them.

bash splits a command line at `=` and `:`, too, and gives spaces no escapes; click's script for fish cuts candidates at
their first comma. So these two have classes of their own.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from sessiontap import private
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


_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' response completion type value
    response=$(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \
%(complete_var)s=bash_complete $1)
    COMPREPLY=()
    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
        if [[ $value == *= ]]; then compopt -o nospace; fi
    done
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Reads the line up to the cursor by itself, and answers what bash is to put in the place of its own last word."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """The arguments before the one to complete, and that one."""
        line = os.environ["COMP_WORDS"]
        words = split_arg_string(line)
        incomplete = "" if line[-1:].isspace() and not _open_quote(line) else words.pop()
        known = set("=:") & set(os.environ.get("COMP_BREAKS", ""))
        breaks = [at for at, one in enumerate(incomplete, 1) if one in known]
        self._kept = incomplete[: breaks[-1]] if breaks else ""
        self._quoted = bool(_open_quote(line))
        return words[1:], incomplete

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """The candidate without the words that bash keeps, and with escapes unless a quote is open."""
        value = str(item.value).removeprefix(self._kept)
        if item.type == "plain" and not self._quoted:
            value = re.sub(r"[^\w@%+=:,./*~-]", r"\\\g<0>", value)
        return f"{item.type},{value}"


class Fish(FishComplete):
    """Completion in fish; click's own script splits candidates at their commas."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split -m 1 ","')


def _open_quote(line: str) -> str:
    """The quote that a line leaves open; empty if none."""
    quote, escaped = "", False
    for one in line:
        if escaped:
            escaped = False
        elif one == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if one == quote else quote
        elif one in "'\"":
            quote = one
    return quote


add_completion_class(Bash)
add_completion_class(Fish)


def find_shell(name: str) -> str:
    """The shell of this name; without one, the user's own by SHELL. Raises Misuse."""
    shell = name or Path(os.environ.get("SHELL", "")).name
    if shell not in FILES:
        message = f"there is no completion for {shell!r}" if shell else "SHELL does not say which shell is yours"
        raise Misuse(message, f"name one of {', '.join(FILES)}")
    return shell


def script(shell: str, command: click.Command) -> str:
    """The script that a shell runs to complete `sessiontap`."""
    found = get_completion_class(shell)
    assert found is not None  # click knows all of FILES
    return found(command, {}, "sessiontap", "_SESSIONTAP_COMPLETE").source()


def install(shell: str, command: click.Command) -> Path:
    """Write the script to where the shell looks for it, and return the file. Raises Failure."""
    home = private.user_home()
    if home is None:
        raise Failure("no home folder is known for this user", "install by hand what --show-completion prints")
    file = home / FILES[shell]
    try:
        private.make(file.parent)
        private.write_text(file, script(shell, command), readable=True)
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
        private.append_text(file, f"{'' if not text or text.endswith(chr(10)) else chr(10)}{line}\n", readable=True)
