"""Options that several commands share, and what they mean."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sessiontap import private
from sessiontap.cli.errors import Failure, Misuse

if TYPE_CHECKING:
    from sessiontap.trace import Trace

TraceOption = Annotated[
    Path | None,
    typer.Option("--trace", metavar="DIR", help="Trace folder [default: $SESSIONTAP_TRACE, else ~/.sessiontap/trace]."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON: a line each for lists, one object otherwise.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=0, metavar="N", help="At most N, 0 for all.")]
RulesOption = Annotated[
    Path | None,
    typer.Option("--rules", metavar="FILE", help="Rules [default: $SESSIONTAP_RULES, else ./rules.yaml]."),
]


def trace_folder(ctx: typer.Context, given: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The trace folder: said behind the command, before it, in the environment, else the default."""
    before = ctx.obj if isinstance(ctx.obj, Path) else None
    chosen = given or before
    if chosen is None and environ.get("SESSIONTAP_TRACE"):
        chosen = Path(environ["SESSIONTAP_TRACE"])
    return _absolute(chosen) if chosen else private.home() / "trace"


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise Misuse(f"what ~ stands for in {path} is not known", "give the whole path: HOME is not set") from None


def open_trace(ctx: typer.Context, given: Path | None) -> Trace:
    """The trace that is meant. Raises TraceError where there is none, which `main` tells."""
    from sessiontap import trace

    return trace.open(trace_folder(ctx, given))


def failure(error: Exception) -> Failure:
    """A room's error as the command's own: its sentence, and its hint where it has one."""
    hint = str(getattr(error, "hint", None) or "").rstrip(".")
    return Failure(str(error), hint[:1].lower() + hint[1:] or None)


def rules_file(given: Path | None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The rules file: said, in the environment, `./rules.yaml` where there is one; None for the built-in defaults.

    Raises Misuse where a named one is missing.
    """
    for chosen, by in ((given, "the command line"), (environ.get("SESSIONTAP_RULES"), "SESSIONTAP_RULES")):
        if chosen:
            path = Path(chosen).expanduser()
            if not os.path.lexists(path):
                raise Misuse(f"there is no rules file {path} (named by {by})", "sessiontap init writes a first one")
            return path
    local = Path("rules.yaml")
    return local if os.path.lexists(local) else None  # what is no file is refused in words when it is read
