"""The parts that commands share: a command's making, its options, and the filters of `ls`, `calls`, `tail` and others.

Names, processes and models are globs without case, as in the rules. A filter that is not given lets everything through.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sessiontap import private
from sessiontap.cli.errors import Misuse
from sessiontap.cli.output import write

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from sessiontap.part import CallParts
    from sessiontap.trace import Trace

type Function = Callable[..., None]
type FilterOption = Callable[[Function], Function]

SESSION_HELP = "Its id, a unique prefix of it, or @1, @2, ... from the newest."
"""Help of the argument that names a session."""
CALL_HELP = "Its id, a unique prefix of it, @1, @2, ... from the newest, or SESSION/STEP: @1/3, @1/-1 for its last."
"""Help of the argument that names a call."""


class _OurParsing:
    """What differs from click's own commands.

    A usage error of the parser knows its command, so that the hint names the right help page. The help page is written
    as all else is: click ends with status 1 if its reader has gone.
    """

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option: click.Option | None = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.callback = _show_help
        return option

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise
        return rest


def _show_help(ctx: click.Context, option: click.Parameter, given: bool) -> None:
    if given and not ctx.resilient_parsing:
        write(ctx.get_help() + "\n")
        ctx.exit()


class Command(_OurParsing, click.Command):
    """A command. If it takes the filters, they are a part of their own on its help page."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
        filters: list[click.Option] = [one for one in found if isinstance(one, Filter)]
        if len(filters) == 1:  # `--all` of a command without the others
            filters = []
        parts = {"Options": [one for one in found if one not in filters], FILTERS_TITLE: filters}
        for title, options in parts.items():
            if options:
                with formatter.section(title):
                    formatter.write_dl([record for one in options if (record := one.get_help_record(ctx)) is not None])


class Filter(click.Option):
    """An option that chooses among calls."""


class NumberOption(click.Option):
    """An option whose bounds are not on the help page: `x>=0` says nothing that its text does not."""

    def get_help_extra(self, ctx: click.Context) -> click.types.OptionHelpExtra:
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class Group(_OurParsing, click.Group):
    """A command that has commands of its own."""

    command_class = Command

    def sections(self, ctx: click.Context) -> Mapping[str, Iterable[str]]:
        """The parts of the list of commands on the help page: title -> names."""
        return {"Commands": self.list_commands(ctx)}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List each command with the whole first sentence of its help, which click would cut to one line."""
        longest = max(map(len, self.list_commands(ctx)))
        for title, names in self.sections(ctx).items():
            found = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(title):
                formatter.write_dl(
                    [(f"{name:<{longest}}", one.get_short_help_str(1000)) for name, one in found if one is not None]
                )


def command(*shown: str, cls: type[Command] = Command, **settings: Any) -> Callable[[Function], click.Command]:
    """Make a command of a function: its docstring is the help page, with the examples `shown` at the end."""
    return click.command(cls=cls, epilog=examples(*shown), **settings)


def group(*shown: str) -> Callable[[Function], click.Group]:
    """Make a command with commands of its own."""
    return click.group(cls=Group, epilog=examples(*shown), no_args_is_help=False)


def examples(*lines: str) -> str:
    """The end of a help page. click keeps the line ends of a paragraph that begins with \\b."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _named_trace(ctx: click.Context, option: click.Parameter, given: Path | None) -> Path | None:
    """The folder that is named behind the command, else before it or in the environment."""
    return given or ctx.find_root().params.get("trace")


trace_option = click.option(
    "--trace",
    metavar="DIR",
    type=click.Path(path_type=Path),
    callback=_named_trace,
    help="The trace folder [default: $SESSIONTAP_TRACE, else ~/.sessiontap/trace].",
)
rules_option = click.option(
    "--rules",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The rules file [default: $SESSIONTAP_RULES, else ./rules.yaml].",
)
ui_option = click.option("--ui", "with_page", is_flag=True, help="Open the page of the sessions, too (sessiontap ui).")
json_option = click.option("--json", is_flag=True, help="Print JSON: a line each for lists, one object otherwise.")


def limit_option(default: int) -> Callable[[Function], Function]:
    """The option `--limit`."""
    return click.option(
        "--limit",
        "-n",
        metavar="N",
        cls=NumberOption,
        type=click.IntRange(min=0),
        default=default,
        help="Show N at most, 0 for all.",
    )


def completes(what: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]:
    """The completion of an argument or an option, by a name of `completing`. It is loaded when a shell asks."""

    def complete(ctx: click.Context, option: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        from sessiontap.cli import completing

        return completing.candidates(what, ctx, incomplete)

    return complete


def _time_of(name: str) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    """The callback of an option that takes a point in time, by a function of `units`."""

    def read(ctx: click.Context, option: click.Parameter, given: str | None) -> int | None:
        from sessiontap import units

        read_time: Callable[[str], int] = getattr(units, name)
        return read_time(given) if given else None

    return read


def _known_status(ctx: click.Context, option: click.Parameter, given: str | None) -> str | None:
    if given is None:
        return None
    from sessiontap.trace.index.filters import is_status  # a shell that completes does without

    if not is_status(given):
        raise Misuse(f"{given!r} is no HTTP status", "write --status 429 or --status 4xx")
    return given


def _named_properties(ctx: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    for one in given:
        if not one.partition("=")[0]:
            raise Misuse(f"--property {one!r} names no property", "write --property mode=test")
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
    if completed:
        settings["shell_complete"] = completes(field)
    return click.option(option, field, cls=Filter, metavar=metavar, help=help, **settings)


FILTERS_TITLE = "Filters, which must all hold"
FILTER_OPTIONS: dict[str, FilterOption] = {
    "session": _filter("--session", "SESSION", "Calls of this session: its id, a prefix of it, @1."),
    "name": _filter("--name", "GLOB", "Sessions of this name."),
    "path": _filter(
        "--path", "GLOB", "Calls at this path; * stops at /, and /course/** is /course and all below it."
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
    "error": click.option("--error", cls=Filter, is_flag=True, help="Calls that failed."),
    "without_errands": all_option,
    "search": _filter(
        "--search", "TEXT", "Calls with this text in names, paths, models, prompts or replies.", completed=False
    ),
}
"""Field of `trace.Filters` -> the option of it. All that are given must hold."""


OF_SESSIONS = ("session", "name", "search", "without_errands")
"""Fields of `trace.Filters` that do not tell calls of one session apart, or that cost a search through its bodies."""


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


def trace_folder(named: Path | None) -> Path:
    """The trace folder that is meant, as an absolute path. Raises Misuse."""
    if named is None:
        return private.home() / "trace"
    try:
        return named.expanduser().absolute()
    except RuntimeError:
        raise Misuse(f"what ~ stands for in {named} is not known", "give the whole path: HOME is not set") from None


def open_trace(named: Path | None) -> Trace:
    """Open the trace that is meant. Raises TraceError if there is none, which `main` tells."""
    from sessiontap import trace

    folder = trace_folder(named)
    return trace.open(
        folder,
        parts_of=_parts_of,
        headings_of=_headings_of,
        is_running=_is_running,
        in_flight=lambda: _in_flight(folder),
    )


def _parts_of(record: Mapping[str, Any], asked: bytes | None, answered: bytes | None) -> CallParts:
    """`llm` is loaded for the first search alone."""
    from sessiontap.llm.recorded_parts import recorded_parts

    return recorded_parts(record, asked, answered)


def _headings_of(
    record: Mapping[str, Any], asked: bytes | None, answered: bytes | None
) -> tuple[str | None, str | None, str | None]:
    """`llm` is loaded for sessions alone whose heading is not in the index yet."""
    from sessiontap.llm.headings import heading

    return heading(record, asked, answered)


def _in_flight(folder: Path) -> list[dict[str, Any]]:
    """Proxies are asked if one has left word that it runs."""
    from sessiontap.proxy import state_file

    if next(state_file.folder().glob("*.json"), None) is None:
        return []
    from sessiontap.cli import in_flight

    return in_flight.calls(folder)


def _is_running(where: str, pid: int, id: str) -> bool | None:
    """`callers` is loaded for a session of the last minutes alone."""
    from sessiontap.callers.running import is_running

    return is_running(where, pid, id)


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
