"""The command `sessiontap`: its commands, and how each way of ending reaches the user and the shell.

Exit status: 0, 1 a failure, 2 a usage or configuration error, 130 interrupted; `exec` gives its program's, and `replay`
3 if a request of a program that succeeded was not answered.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from sessiontap import __version__
from sessiontap.cli.errors import Failure, as_failure
from sessiontap.cli.named_path import NAMED_PATH
from sessiontap.cli.options import Group, examples
from sessiontap.cli.output import ReaderGone, flush, print_error, write

SECTIONS = {
    "Start": {
        "run": "start",
        "exec": "exec",
        "replay": "replay",
        "env": "env",
        "init": "start",
        "demo": "start",
        "doctor": "doctor",
    },
    "Read": {
        "ls": "sessions",
        "show": "sessions",
        "calls": "calls",
        "cat": "calls",
        "tail": "calls",
        "ui": "ui",
        "search": "search",
        "export": "export",
        "push": "push",
    },
    "Analyse": {
        "stats": "sessions",
        "diff": "diff",
        "tools": "analysis",
        "context": "analysis",
        "cache": "analysis",
        "waste": "analysis",
    },
    "Judge": {
        "score": "score",
        "relabel": "relabel",
    },
    "Maintain": {
        "rules": "rules",
        "limits": "limits",
        "trace": "trace",
    },
}
"""The parts of the help page: a task -> its commands, each with its module in `commands/`."""
COMMANDS = {name: module for commands in SECTIONS.values() for name, module in commands.items()}


class LazyCommands(Group):
    """A group whose commands are imported when they are named."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # click compares a misspelled name with these.
        self.commands = {name: click.Command(name) for name in COMMANDS}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def sections(self, ctx: click.Context) -> Mapping[str, Iterable[str]]:
        return SECTIONS

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"sessiontap.cli.commands.{COMMANDS[name]}"), name)
        return command


def _show_version(ctx: click.Context, option: click.Parameter, given: bool) -> None:
    if given:
        write(f"sessiontap {__version__}\n")
        ctx.exit()


def _install_completion(ctx: click.Context, option: click.Parameter, shell: str | None) -> None:
    if shell is not None:
        from sessiontap.cli import completion_scripts

        file = completion_scripts.install(completion_scripts.find_shell(shell), app)
        write(f"The completion is in {file}. It works in new terminals.\n")
        ctx.exit()


def _show_completion(ctx: click.Context, option: click.Parameter, shell: str | None) -> None:
    if shell is not None:
        from sessiontap.cli import completion_scripts

        write(completion_scripts.script(completion_scripts.find_shell(shell), app))
        ctx.exit()


@click.group(
    "sessiontap",
    cls=LazyCommands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True},
    epilog=examples("sessiontap demo", "sessiontap exec -- python agent.py", "sessiontap ls", "sessiontap show @1"),
)
@click.option(
    "--trace",
    metavar="DIR",
    type=NAMED_PATH,
    multiple=True,
    envvar="SESSIONTAP_TRACE",
    help="The trace folder, for any command. Repeatable: several are read as one.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.option(
    "--install-completion",
    metavar="[SHELL]",
    is_flag=False,
    flag_value="",
    is_eager=True,
    expose_value=False,
    callback=_install_completion,
    help="Install completion for bash, zsh or fish; without SHELL for yours.",
)
@click.option(
    "--show-completion",
    metavar="[SHELL]",
    is_flag=False,
    flag_value="",
    is_eager=True,
    expose_value=False,
    callback=_show_completion,
    help="Print the completion script of a shell, to install it by hand.",
)
@click.pass_context
def app(ctx: click.Context, trace: tuple[Path, ...]) -> None:
    """Show the LLM calls of unmodified apps as named sessions."""  # commands read `trace` from the context
    if ctx.invoked_subcommand is None:
        write(ctx.get_help() + "\n")


COMPLETE = "_SESSIONTAP_COMPLETE"
"""Set by the script of a shell that asks for candidates."""


def _open_closed_streams() -> None:
    """Open the standard streams that the caller has closed (`>&-`): the next file that is opened, such as the log's
    index, would be one of them."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (without the program's name). Return the exit status."""
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _open_closed_streams()
    if COMPLETE in os.environ:
        from sessiontap.cli import completion_scripts  # noqa: F401 - it registers the shells
    try:
        try:
            # The commands' `obj` says whether the command line is this process's own.
            status = app.main(argv, prog_name="sessiontap", standalone_mode=False, obj=argv is None)
        finally:
            flush()
        return status if isinstance(status, int) else 0
    except ReaderGone:
        # The interpreter flushes stdout once more at its end; let it succeed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Failure as failure:
        print_error(failure.message, failure.hint)
        return failure.status
    except (KeyboardInterrupt, click.Abort):
        return 130
    except OSError as error:
        print_error(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error))
        return 1
    except Exception as error:
        known = as_failure(error)
        if known is None:
            raise
        print_error(known.message, known.hint)
        return known.status
