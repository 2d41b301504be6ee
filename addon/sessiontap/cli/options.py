"""Options that several commands share, and the folder they mean."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

TraceOption = Annotated[
    Path | None,
    typer.Option("--trace", metavar="DIR", help="Trace folder [default: $SESSIONTAP_TRACE, else ~/.sessiontap/trace]."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON: a line each for lists, one object otherwise.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=0, metavar="N", help="At most N; 0 for all.")]
RulesOption = Annotated[
    Path | None,
    typer.Option("--rules", metavar="FILE", help="Rules [default: $SESSIONTAP_RULES, else ./rules.yaml]."),
]


def home() -> Path:
    """The folder of the user's own state."""
    return Path.home() / ".sessiontap"


def trace_folder(ctx: typer.Context, given: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The trace folder: said behind the command, before it, in the environment, else the default."""
    before = ctx.obj if isinstance(ctx.obj, Path) else None
    chosen = given or before
    if chosen is None and environ.get("SESSIONTAP_TRACE"):
        chosen = Path(environ["SESSIONTAP_TRACE"])
    return chosen.expanduser() if chosen else home() / "trace"


def rules_file(given: Path | None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The rules file: said, in the environment, `./rules.yaml` where there is one; None for the built-in defaults."""
    if given is not None:
        return given.expanduser()
    if environ.get("SESSIONTAP_RULES"):
        return Path(environ["SESSIONTAP_RULES"]).expanduser()
    local = Path("rules.yaml")
    return local if local.exists() else None
