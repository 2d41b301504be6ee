"""The filters of `ls`, `calls`, `tail` and others: one block of options, and what it asks of the index.

Names, processes and models are globs without case, as in the rules; a filter that is not given lets everything through.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from sessiontap.cli.errors import Misuse

if TYPE_CHECKING:
    from sessiontap.trace.index.filters import Filters

Command = Callable[..., None]


def filters(
    name: Annotated[str | None, typer.Option("--name", metavar="GLOB", help="Sessions of this name.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help="2h, 3d (ago), or an ISO date or time.")
    ] = None,
    process: Annotated[str | None, typer.Option("--process", metavar="GLOB", help="Calls of this process.")] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="GLOB", help="Calls of this model.")] = None,
    property: Annotated[
        list[str] | None, typer.Option("--property", metavar="K=V", help="With this property; V is a glob. Repeatable.")
    ] = None,
    error: Annotated[bool, typer.Option("--error", help="Only calls that failed.")] = False,
    search: Annotated[
        str | None, typer.Option("--search", metavar="TEXT", help="Text in names, paths, models, prompts and replies.")
    ] = None,
) -> Filters:
    """What these options ask for: all that are given must hold. Raises Misuse for what can match nothing."""
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
