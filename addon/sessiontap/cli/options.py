"""The parts that commands share: a command's making, its options, and the trace that they open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sessiontap import private
from sessiontap.cli.errors import Failure, Misuse
from sessiontap.cli.named_path import NAMED_PATH, expanded
from sessiontap.cli.output import write

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from sessiontap.part import CallParts
    from sessiontap.trace import Trace

type Function = Callable[..., None]

SESSION_HELP = "Its id, a unique prefix of it, or @1, @2, ... from the newest."
"""Help of the argument that names a session."""
CALL_HELP = "Its id, a unique prefix of it, @1, @2, ... from the newest, or SESSION/STEP: @1/3, @1/-1 for its last."
"""Help of the argument that names a call."""


class _OurParsing:
    """The differences from click's own commands.

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
    """A command. If it takes the filters, they have a section of their own on its help page."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
        filters: list[click.Option] = [one for one in found if isinstance(one, Filter)]
        if len(filters) == 1:  # `--all` of a command without the others
            filters = []
        sections = {"Options": [one for one in found if one not in filters], FILTERS_TITLE: filters}
        for title, options in sections.items():
            if options:
                with formatter.section(title):
                    formatter.write_dl([record for one in options if (record := one.get_help_record(ctx)) is not None])


FILTERS_TITLE = "Filters, which must all hold"
"""The title of the filters on a help page."""


class Filter(click.Option):
    """An option that chooses among calls."""


class WholeNumber(click.ParamType[int]):
    """The type of an option that takes a whole number within bounds."""

    name = "integer"

    def __init__(self, least: int, most: int = 10**12) -> None:
        """The usual `most` is more than any log holds."""
        self.least = least
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(value)
        except ValueError:
            number = self.least - 1
        if not self.least <= number <= self.most:
            self.fail(f"{str(value)!r} is no whole number from {self.least} to {self.most:,}", param, ctx)
        return number


class Group(_OurParsing, click.Group):
    """A command that has commands of its own."""

    command_class = Command

    def sections(self, ctx: click.Context) -> Mapping[str, Iterable[str]]:
        """The sections of the list of commands on the help page: title -> names."""
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


def named_traces(ctx: click.Context, given: tuple[Path, ...]) -> list[Path]:
    """The folders that are named after the command, else before it or in the environment, as absolute paths. Raises
    Misuse."""
    named: tuple[Path, ...] = given or ctx.find_root().params.get("trace") or ()
    return [trace_folder(one) for one in named]


def _read_trace(ctx: click.Context, option: click.Parameter, given: tuple[Path, ...]) -> Path | None:
    """The folder to read: of several, or of one whose subfolders are traces, the one by which they are read as one."""
    named = named_traces(ctx, given)
    if not named:
        return None
    from sessiontap.trace.folders import read_together

    try:
        return read_together(named)
    except OSError as error:
        message = f"the index of these traces cannot be kept: {error.filename}: {error.strerror}"
        raise Failure(message, "make that folder writable, or name one trace") from None


def _written_trace(ctx: click.Context, option: click.Parameter, given: tuple[Path, ...]) -> Path | None:
    """The one folder that a proxy writes to. Raises Misuse."""
    named = named_traces(ctx, given)
    if len(named) > 1:
        raise Misuse(f"a proxy writes to one trace, and {len(named)} are named", "name one with --trace DIR")
    return named[0] if named else None


_TRACE: dict[str, Any] = {"metavar": "DIR", "type": NAMED_PATH, "multiple": True}
trace_option = click.option(
    "--trace",
    **_TRACE,
    callback=_read_trace,
    help="The trace folder, or one with traces in its subfolders. Repeatable: several are read as one "
    "[default: $SESSIONTAP_TRACE, else ~/.sessiontap/trace].",
)
written_trace_option = click.option(
    "--trace",
    **_TRACE,
    callback=_written_trace,
    help="The trace folder [default: $SESSIONTAP_TRACE, else ~/.sessiontap/trace].",
)
rules_option = click.option(
    "--rules",
    metavar="FILE",
    type=NAMED_PATH,
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
        type=WholeNumber(0),
        default=default,
        help="Show at most N, 0 for all.",
    )


def completes(what: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]:
    """The completion of an argument or an option, by a name of `completion_values`. It is loaded when a shell asks."""

    def complete(ctx: click.Context, option: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        from sessiontap.cli import completion_values

        return completion_values.candidates(what, ctx, incomplete)

    return complete


def trace_folder(named: Path | None) -> Path:
    """The trace folder that is meant, as an absolute path. Raises Misuse."""
    return private.home() / "trace" if named is None else expanded(named).absolute()


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
    from sessiontap.cli import proxies_of_log

    return proxies_of_log.calls(folder)


def _is_running(where: str, pid: int, id: str) -> bool | None:
    """`callers` is loaded for a session of the last minutes alone."""
    from sessiontap.callers.running import is_running

    return is_running(where, pid, id)
