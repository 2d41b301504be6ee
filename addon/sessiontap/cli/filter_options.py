"""The filters of `ls`, `calls`, `tail` and others, as options of these commands.

Names, processes and models are globs without case, as in the rules. A filter that is not given lets everything through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from sessiontap.cli.errors import Misuse
from sessiontap.cli.options import Filter, Function, completes

if TYPE_CHECKING:
    from sessiontap.trace.index.filters import Filters

type FilterOption = Callable[[Function], Function]


def _time_of(name: str) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    """The callback of an option that takes a point in time, by a function of `units`."""

    def read(ctx: click.Context, option: click.Parameter, given: str | None) -> int | None:
        from sessiontap import units

        read_time: Callable[[str], int] = getattr(units, name)
        return read_time(given) if given is not None else None

    return read


def _known_status(ctx: click.Context, option: click.Parameter, given: str | None) -> str | None:
    if given is None:
        return None
    from sessiontap.trace.index.filters import is_status  # a shell that completes does without

    if not is_status(given):
        raise Misuse(f"{given!r} is no HTTP status", "write --status 429 or --status 4xx")
    return given


def _searched_text(ctx: click.Context, option: click.Parameter, given: str | None) -> str | None:
    if given is not None and not given.strip():  # it would fit every call
        raise Misuse("the text of --search is empty", "write --search 'FAILED tests'")
    return given


def _path_glob(ctx: click.Context, option: click.Parameter, given: str | None) -> str | None:
    if given is None:
        return None
    from sessiontap.trace.index.filters import is_path_glob

    if not is_path_glob(given):
        raise Misuse(f"the glob of {option.opts[0]} is too long", "write a shorter one, with fewer * and ?")
    return given


def _named_properties(ctx: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    for one in given:
        if not one.partition("=")[0]:
            raise Misuse(f"--property {one!r} names no property", "write --property mode=test")
    return given


def _named_scores(ctx: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    if given:
        from sessiontap.trace.index.scores import parsed

        for one in given:
            if parsed(one) is None:
                raise Misuse(f"--score {one!r} is no score", "write --score 'helpful>0.5', --score grade=good")
    return given


all_option = click.option(
    "--all",
    "-a",
    "without_errands",
    cls=Filter,
    flag_value=False,
    is_flag=True,
    default=True,
    show_default=False,
    help="Include agents' errands: settings, telemetry, token counts.",
)
"""Lists and sums leave agents' errands out; `left_out` says how many."""


def _filter(option: str, metavar: str, help: str, *, completed: bool = True, **settings: Any) -> FilterOption:
    """The option of a filter; its values are `completed` by those that the log has."""
    field = settings.pop("field", option.removeprefix("--"))
    values_of = settings.pop("completes_as", field)
    if completed:
        settings["shell_complete"] = completes(values_of)
    return click.option(option, field, cls=Filter, metavar=metavar, help=help, **settings)


FILTER_OPTIONS: dict[str, FilterOption] = {
    "session": _filter("--session", "SESSION", "Calls of this session: its id, a prefix of it, @1."),
    "name": _filter("--name", "GLOB", "Sessions of this name."),
    "path": _filter(
        "--path",
        "GLOB",
        "Calls at this path; * stops at /, and /course/** is /course and all below it.",
        callback=_path_glob,
    ),
    "since": _filter(
        "--since",
        "WHEN",
        "Calls since 2h or 3d ago, or an ISO date or time.",
        completed=False,
        callback=_time_of("since"),
    ),
    "until": _filter(
        "--until",
        "WHEN",
        "Calls that began before this; a date includes its whole day.",
        completed=False,
        callback=_time_of("until"),
    ),
    "machine": _filter("--machine", "GLOB", "Calls that a proxy of this machine recorded."),
    "process": _filter("--process", "GLOB", "Calls of this process."),
    "user": _filter("--user", "GLOB", "Calls of this user."),
    "agent": _filter("--agent", "GLOB", "Calls of this agent or sub-agent."),
    "provider": _filter("--provider", "GLOB", "Calls of this provider."),
    "model": _filter("--model", "GLOB", "Calls with this model, in the request or in the reply."),
    "tool": _filter("--tool", "GLOB", "Calls whose reply calls this tool, or that bring its result."),
    "tags": _filter("--tag", "GLOB", "Calls with this tag. Repeatable.", field="tags", multiple=True),
    "properties": _filter(
        "--property",
        "K=V",
        "Calls with this property; V is a glob. Repeatable.",
        field="properties",
        multiple=True,
        callback=_named_properties,
    ),
    "rule": _filter("--rule", "GLOB", "Calls for which this rule set something."),
    "status": _filter(
        "--status", "STATUS", "Calls with this HTTP status: 429, or 4xx for any.", callback=_known_status
    ),
    "outcome": _filter("--outcome", "GLOB", "Calls with this outcome: ok, http_error, client_gone, ..."),
    "scores": _filter(
        "--score",
        "SCORE",
        "Calls with this score, of their own or of their session: helpful>0.5, grade=good. Repeatable.",
        field="scores",
        multiple=True,
        callback=_named_scores,
    ),
    "starred": click.option("--starred", cls=Filter, is_flag=True, help="Calls with a star, or whose session has one."),
    "error": click.option("--error", cls=Filter, is_flag=True, help="Calls that failed."),
    "without_errands": all_option,
    "search": _filter(
        "--search",
        "TEXT",
        "Calls with this text in names, paths, models, prompts or replies.",
        completed=False,
        callback=_searched_text,
    ),
}
"""Field of `trace.Filters` -> the option of it. All that are given must hold."""


OF_SESSIONS = ("session", "name", "search", "without_errands")
"""Fields of `trace.Filters` that do not tell calls of one session apart, or that cost a search through its bodies."""


CHANGED_BY_RELABEL = ("name", "path", "tags", "properties")
"""Fields of `trace.Filters` whose options mean something else in `relabel`: it has them under the names below."""
_RENAMED = {
    "name": _filter("--with-name", "GLOB", "Sessions of this name.", field="with_name", completes_as="name"),
    "path": _filter(
        "--at-path", "GLOB", "Calls at this path.", field="with_path", completes_as="path", callback=_path_glob
    ),
    "tags": _filter(
        "--with-tag", "GLOB", "Calls with this tag. Repeatable.", field="with_tags", completes_as="tags", multiple=True
    ),
    "properties": _filter(
        "--with-property",
        "K=V",
        "Calls with this property; V is a glob. Repeatable.",
        field="with_properties",
        completes_as="properties",
        multiple=True,
        callback=_named_properties,
    ),
}


def renamed_filters(function: Function) -> Function:
    """Add the filters of `CHANGED_BY_RELABEL` to the `Filters` of the command's parameter `wanted`."""

    @wraps(function)
    def run(wanted: Filters, **given: Any) -> None:
        more = {field: given.pop(f"with_{field}") for field in _RENAMED}
        function(wanted=replace(wanted, **more), **given)

    wrapped: Function = run
    for option in reversed(_RENAMED.values()):
        wrapped = option(wrapped)
    return wrapped


def filter_options(function: Function, without: Iterable[str] = ()) -> Function:
    """Add the filter options, but for those `without`. The command's parameter `wanted` is the `Filters` they make."""
    options = {field: option for field, option in FILTER_OPTIONS.items() if field not in set(without)}

    @wraps(function)
    def run(**given: Any) -> None:
        from sessiontap.trace.index.filters import Filters

        wanted = Filters(**{field: given.pop(field) for field in options})
        function(wanted=wanted, **given)

    wrapped: Function = run
    for option in reversed(options.values()):
        wrapped = option(wrapped)
    return wrapped
