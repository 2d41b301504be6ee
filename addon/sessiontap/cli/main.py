"""The command as a whole, and how each way of ending reaches the user and the shell.

Exit status: 0, 1 a failure, 2 a usage or configuration error, 130 interrupted; `exec` gives its program's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sessiontap import __version__
from sessiontap.cli.errors import Failure, as_failure
from sessiontap.cli.loading import Commands, examples
from sessiontap.cli.output import ReaderGone, flush, print_error, write

_CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

app = typer.Typer(
    name="sessiontap",
    cls=Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=_CONTEXT,
)


def _version(wanted: bool) -> None:
    if wanted:
        write(f"sessiontap {__version__}\n")
        raise typer.Exit


@app.callback(
    invoke_without_command=True,
    epilog=examples(("sessiontap demo", "sessiontap exec -- python agent.py", "sessiontap ls", "sessiontap show @1")),
)
def sessiontap(
    ctx: typer.Context,
    trace: Annotated[
        Path | None, typer.Option("--trace", metavar="DIR", help="The trace folder, for any command.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Show the LLM calls of unmodified apps as named sessions."""
    ctx.obj = trace
    if ctx.invoked_subcommand is None:
        write(ctx.get_help() + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. `argv`: without the program's name. Returns the exit status."""
    command = typer.main.get_command(app)
    try:
        try:
            status = command.main(
                list(sys.argv[1:] if argv is None else argv), prog_name="sessiontap", standalone_mode=False
            )
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
    except (KeyboardInterrupt, typer.Abort):
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
