"""Options that several commands share, and the filters of `ls`, `calls`, `tail` and others.

Names, processes and models are globs without case, as in the rules. A filter that is not given lets everything through.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from sessiontap import private
from sessiontap.cli.errors import Misuse

if TYPE_CHECKING:
    from sessiontap.trace import Trace
    from sessiontap.trace.index.filters import Filters


TraceOption = Annotated[
    Path | None,
    typer.Option(
        "--trace", metavar="DIR", help="The trace folder [default: $SESSIONTAP_TRACE, else ~/.sessiontap/trace]."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON: a line each for lists, one object otherwise.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=0, metavar="N", help="Show N at most, 0 for all.")]
RulesOption = Annotated[
    Path | None,
    typer.Option("--rules", metavar="FILE", help="The rules file [default: $SESSIONTAP_RULES, else ./rules.yaml]."),
]


def trace_folder(ctx: typer.Context, given: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The trace folder: named after the command or before it, in the environment, else the default."""
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
    """The trace that is meant. Raises TraceError if there is none, which `main` tells."""
    from sessiontap import trace

    return trace.open(trace_folder(ctx, given), texts_of=_texts_of)


def _texts_of(record: dict[str, Any], asked: bytes | None, answered: bytes | None) -> Iterable[str]:
    """`llm` is loaded for the first search alone."""
    from sessiontap.llm.searched_text import searched_text

    return searched_text(record, asked, answered)


def rules_file(given: Path | None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The rules file: on the command line, in the environment, else `./rules.yaml`; None for the built-in defaults.

    Raises Misuse if a named one is missing.
    """
    for chosen, by in ((given, "the command line"), (environ.get("SESSIONTAP_RULES"), "SESSIONTAP_RULES")):
        if chosen:
            path = Path(chosen).expanduser()
            if not os.path.lexists(path):
                raise Misuse(f"there is no rules file {path} (named by {by})", "sessiontap init writes a first one")
            return path
    local = Path("rules.yaml")
    return local if os.path.lexists(local) else None  # what is no file is refused in words when it is read


Command = Callable[..., None]


def filters(
    name: Annotated[str | None, typer.Option("--name", metavar="GLOB", help="Sessions of this name.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="Calls since 2h or 3d ago, or since an ISO date or time."),
    ] = None,
    process: Annotated[str | None, typer.Option("--process", metavar="GLOB", help="Calls of this process.")] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="GLOB", help="Calls of this model.")] = None,
    property: Annotated[
        list[str] | None,
        typer.Option("--property", metavar="K=V", help="Calls with this property; V is a glob. Repeatable."),
    ] = None,
    error: Annotated[bool, typer.Option("--error", help="Calls that failed.")] = False,
    search: Annotated[
        str | None,
        typer.Option(
            "--search", metavar="TEXT", help="Calls with this text in names, paths, models, prompts or replies."
        ),
    ] = None,
) -> Filters:
    """The filter that these options ask for: all that are given must hold. Raises Misuse for what can match nothing."""
    from sessiontap.cli.units import since as moment
    from sessiontap.trace.index.filters import Filters

    for wanted in property or ():
        if not wanted.partition("=")[0]:
            raise Misuse(f"--property {wanted!r} names no property", "write --property mode=test")
    time = moment(since) if since else None
    return Filters(name, time, process, model, tuple(property or ()), error, search)


def filtered(command: Command) -> Command:
    """`command` with the options of `filters` in the place of its parameter `wanted`, which is given what they ask."""
    options = _parameters(filters)

    def run(**given: object) -> None:
        chosen: dict[str, Any] = {option.name: given.pop(option.name) for option in options}
        command(**given, wanted=filters(**chosen))

    own = _parameters(command)
    parameters = [one for parameter in own for one in (options if parameter.name == "wanted" else [parameter])]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return run


def _parameters(function: Callable[..., object]) -> list[Parameter]:
    """With their types; that of the index is not loaded for it."""
    types = get_type_hints(function, localns={"Filters": object}, include_extras=True)
    own = signature(function).parameters.values()
    return [one.replace(annotation=types[one.name], kind=Parameter.KEYWORD_ONLY) for one in own]
