"""`sessiontap run`, `demo` and `init`: the proxy, a trial of it, and a first rules file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sessiontap import private
from sessiontap.cli.errors import Failure, Misuse
from sessiontap.cli.options import (
    Command,
    WholeNumber,
    command,
    open_trace,
    rules_option,
    trace_folder,
    ui_option,
    written_trace_option,
)
from sessiontap.cli.output import ReaderGone, may_overwrite, print_notice, write
from sessiontap.cli.replay_serving import replay_options
from sessiontap.units import plural

if TYPE_CHECKING:
    from sessiontap.cli.replay_serving import ReplaySettings
    from sessiontap.replay.question import Rung

_PRINTS = {"-h", "--help", "--version", "--options", "--commands"}
"""Arguments of mitmdump's by which it prints something and ends."""
PASSED_ON = (
    ("-p, --listen-port PORT", "Listen at this port [default: 8080, or the next free one]."),
    ("--listen-host HOST", "Listen at this address, such as 127.0.0.1 [default: all interfaces]."),
    (
        "-m, --mode MODE",
        "regular, upstream:URL (go on through another proxy), reverse:URL@PORT (stand in for a server), transparent, "
        "socks5. Repeatable [default: regular].",
    ),
    ("-w, --save-stream-file FILE", "Write the flows to this file, too, for mitmweb -r."),
    ("-s, --scripts FILE", "Load another addon of mitmproxy. Repeatable."),
    (
        "--set NAME=VALUE",
        "Set any option: session_memory=1GB, session_fsync=always, session_drain=80s, ssl_insecure, ... Repeatable.",
    ),
    ("-q, --quiet", "Print nothing."),
    ("--options", "List all options that --set takes, with their defaults."),
    ("-h, --help", "Show this message and exit."),
)
"""mitmdump's options that people need, and ours that its parser would take for its own."""


class _RunCommand(Command):
    """Its arguments are mitmdump's, and its help page names those of them that people need."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = [record for one in self.get_params(ctx) if (record := one.get_help_record(ctx)) is not None]
        with formatter.section("Options"):
            formatter.write_dl([*own, *PASSED_ON])


@command(
    "sessiontap run",
    "sessiontap run --listen-host 127.0.0.1 -p 8080",
    "sessiontap run --rules work.yaml --trace /tmp/trace",
    "sessiontap run --mode reverse:http://localhost:11434@11500",
    "sessiontap run --workers 4",
    "sessiontap run --replay @1 --strict canonical   # recorded replies for programs that go through it",
    cls=_RunCommand,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
@click.option(
    "--workers",
    metavar="N",
    type=WholeNumber(1, 64),
    default=1,
    help="Run N proxy processes behind the port, if the machine has cores to spare.",
)
@click.option(
    "--replay",
    "recorded",
    metavar="RECORDED",
    multiple=True,
    help=(
        "Reply with this session, call or range of calls, as `sessiontap replay` does. Repeatable. Nothing goes out "
        "through the proxy; programs are not kept from the network."
    ),
)
@replay_options
@ui_option
@rules_option
@written_trace_option
@click.option("--help-all", is_flag=True, help="Show all options of mitmdump, which are taken as well, and exit.")
@click.pass_context
def run(
    ctx: click.Context,
    workers: int,
    recorded: tuple[str, ...],
    strict: Rung,
    speed: float,
    live_on_miss: bool,
    until: str | None,
    with_page: bool,
    rules: Path | None,
    trace: Path | None,
    help_all: bool,
) -> None:
    """Start the proxy.

    Programs go through it with `sessiontap exec` or `sessiontap env`. It takes all options of mitmdump; Ctrl-C ends it.
    """
    if {"-h", "--help"} & set(ctx.args):
        write(ctx.get_help() + "\n")
        return
    from sessiontap import own_python
    from sessiontap.cli.replay_serving import ReplaySettings
    from sessiontap.proxy.requirements import exit_with_error, unmet

    if wrong := unmet():
        exit_with_error(wrong)
    from sessiontap.proxy.start import run as run_proxy

    given = {"session_rules": rules, "session_trace": trace}
    arguments = ["--help"] if help_all else [*_settings(given, ctx.args), *ctx.args]
    replayed = ReplaySettings(recorded, strict, speed, live_on_miss, until, trace_folder(trace)) if recorded else None
    if replayed is None and (given_for := _given(ctx, "strict", "speed", "live_on_miss", "until")):
        raise Misuse(f"{given_for} says how a recording is replayed, and none is", "name one, as in --replay @1")
    if workers > 1 and recorded:
        raise Misuse("--replay and --workers do not go together", "one process is enough for a replay")
    if workers > 1 and _PRINTS.isdisjoint(arguments):
        if os.name != "posix":
            raise Misuse("--workers needs a system that can hand sockets to other processes", "leave --workers out")
        from sessiontap.proxy import front

        if with_page:
            _start_page(trace, rules)
        ctx.exit(front.main(workers, arguments))
    records = _PRINTS.isdisjoint(arguments)
    if ctx.obj and records:
        own_python.go_on_without_assertions()
    if with_page and records:
        _start_page(trace, rules)
    try:
        with _replay(replayed) if replayed is not None and records else nullcontext():
            run_proxy(arguments, records=records)
    except BrokenPipeError:
        raise ReaderGone from None
    except SystemExit:
        if help_all:  # mitmproxy counts its own help as a failure
            ctx.exit()
        raise


@contextmanager
def _replay(settings: ReplaySettings) -> Iterator[None]:
    """Have the proxy that starts within the block reply with what is recorded, and report at its end."""
    from sessiontap.cli.replay_serving import Serving
    from sessiontap.replay_link import VARIABLE

    with Serving(settings) as serving:
        serving.load(open_trace(settings.trace), at_once=True)
        serving.server.start()
        os.environ[VARIABLE] = str(serving.server.address)
        others = "some others go on live" if settings.is_live else "the proxy reaches nothing else"
        print_notice(f"requests get the replies of {plural(len(serving.calls), 'recorded call')}, and {others}")
        try:
            yield
        finally:
            sys.stderr.write(serving.report_text())


def _given(ctx: click.Context, *names: str) -> str | None:
    """Return the first of these options that the user gave, as it is written; None if there is none."""
    for name in names:
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            return f"--{name.replace('_', '-')}"
    return None


def _start_page(trace: Path | None, rules: Path | None) -> None:
    from sessiontap.cli.page_server import start_beside

    start_beside(trace_folder(trace), rules)


def _settings(given: Mapping[str, Path | None], arguments: Sequence[str]) -> Iterator[str]:
    """Yield mitmproxy's options for these, but for those that the user sets as well: mitmproxy refuses a second one."""
    for name, value in given.items():
        if value is not None and not any(one.removeprefix("--set=").startswith(f"{name}=") for one in arguments):
            yield from ("--set", f"{name}={value}")


@command("sessiontap demo")
def demo() -> None:
    """Try it without keys or network.

    A small LLM server on this machine answers two unmodified programs, and their sessions are shown.
    """
    from sessiontap.demo.run_demo import run_demo

    run_demo()


@command("sessiontap init", "sessiontap init --force")
@click.option("--force", is_flag=True, help="Overwrite a rules.yaml that is there, without asking.")
def init(force: bool) -> None:
    """Write a first rules.yaml, with comments, into this folder."""
    from sessiontap.cli.rules_files import in_use

    path = Path("rules.yaml").absolute()
    if path.exists() and not path.is_file():
        raise Failure(f"{path} exists and is not a file", "move it away")
    if not force:
        may_overwrite(path)
    try:
        private.write_text(path, starter_rules(), readable=True)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}", "go to a folder of your own") from None
    write(f"Wrote {path}.\nEdit it, then check it with: sessiontap rules check\n")
    print_notice(in_use(path))


def starter_rules() -> str:
    """The commented rules file that comes with the package."""
    from importlib.resources import files

    return files("sessiontap.cli").joinpath("starter.yaml").read_text(encoding="utf-8")
