"""`sessiontap replay`: a program on the replies of a recorded session."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sessiontap.cli.errors import Failure, Misuse
from sessiontap.cli.named_path import NAMED_PATH
from sessiontap.cli.options import Command, command, open_trace, trace_folder, trace_option
from sessiontap.cli.output import out_file, print_notice
from sessiontap.cli.replay_serving import replay_options

if TYPE_CHECKING:
    from sessiontap.cli.replay_serving import ReplaySettings, Serving
    from sessiontap.cli.supervisor import Supervisor
    from sessiontap.replay.question import Rung

MISSED = 3
"""The exit status if the program succeeded but asked for something that was not recorded."""
_PROGRAM = "sessiontap.replay.program"


class _ReplayCommand(Command):
    """All behind `--` is the program."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[_PROGRAM] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)


@command(
    "sessiontap replay @1 -- python agent.py",
    "sessiontap replay @1 --strict canonical --report replay.json -- pytest tests/agent",
    "sessiontap replay @2/0..@2/7 --speed recorded -- claude -p 'fix the tests'",
    "sessiontap replay @1 --until @1/4 -- python agent.py   # then go on live",
    cls=_ReplayCommand,
)
@click.argument(
    "recorded",
    metavar="RECORDED... -- CMD...",
    nargs=-1,
    required=True,
    help="Sessions (@1), calls (@1/3) or ranges of calls (@1/0..@1/7), and behind -- the program and its arguments.",
)
@replay_options
@click.option("--report", "file", metavar="FILE", type=NAMED_PATH, help="Write the report as JSON.")
@click.option("--json", is_flag=True, help="Print the report on stderr as JSON.")
@trace_option
@click.pass_context
def replay(
    ctx: click.Context,
    recorded: tuple[str, ...],
    strict: Rung,
    speed: float,
    live_on_miss: bool,
    until: str | None,
    file: Path | None,
    json: bool,
    trace: Path | None,
) -> None:
    """Run a program on the recorded replies of a session.

    It needs neither network nor keys. Each of its requests gets the reply of the recorded call that it matches best:
    the same bytes (exact), the same but for ids, dates and the like (canonical), the same tool calls (tools), or the
    next of its conversation (place). One that nothing answers fails at once with the status 501, and says what differs.
    Nothing else is reached but loopback (on other systems than Linux, by programs that heed the proxy's variables).

    What was answered how is reported on stderr. Exit status: the program's if it failed, 3 if a request was not
    answered, else 0. Replayed calls are not recorded; calls that go on live are, as always.
    """
    from sessiontap.cli.replay_serving import ReplaySettings

    program = ctx.meta.get(_PROGRAM, ())
    if not program:
        raise Misuse("there is no program to run", "write it behind --: sessiontap replay @1 -- python agent.py")
    if file is not None and (file.is_dir() or not file.parent.is_dir()):  # said before the program runs, not after it
        why = "it is a folder" if file.is_dir() else f"there is no folder {file.parent}"
        raise Failure(f"the report {file} cannot be written: {why}", "name another file with --report")
    settings = ReplaySettings(recorded, strict, speed, live_on_miss, until, trace_folder(trace))
    ctx.exit(_run(program, settings, Output(file, json)))


@dataclass(frozen=True, slots=True)
class Output:
    """The form of the report, and the file that it is written to."""

    file: Path | None
    as_json: bool


def _run(command: Sequence[str], settings: ReplaySettings, output: Output) -> int:
    from sessiontap.cli import program, supervisor
    from sessiontap.cli.environment import original, prepare_home

    program.find(command[0])
    prepare_home()
    before = original(os.environ)
    # A process of its own, from before the log is open and a thread runs.
    return _supervised(supervisor.fork(), command, settings, output, before)


def _supervised(
    process: Supervisor, command: Sequence[str], settings: ReplaySettings, output: Output, before: dict[str, str]
) -> int:
    from sessiontap.cli.commands.exec import stay
    from sessiontap.cli.direct_connections import DirectConnections
    from sessiontap.cli.environment import prepare, prepare_ca
    from sessiontap.cli.private_proxy import private_proxy, upstream
    from sessiontap.cli.program import confined_start
    from sessiontap.cli.replay_input import dummy_keys, hosts_of, loopback_ports
    from sessiontap.cli.replay_serving import Serving
    from sessiontap.cli.unrecorded import directly
    from sessiontap.replay_link import VARIABLE
    from sessiontap.trace.folders import are_several

    prepare_ca(None)  # first: a proxy that finds one does not make its own
    with Serving(settings) as serving:
        behind = upstream(before) if settings.is_live else None
        variables = {VARIABLE: str(serving.server.address)}
        log = trace_folder(None) if are_several(settings.trace) else settings.trace
        with private_proxy(None, log, behind, variables) as own:
            process.proxy = own.process
            serving.load(open_trace(settings.trace), at_once=not sys.stderr.isatty())
            surroundings = prepare(None, before)
            proxy = own.wait_until_ready()
            direct = DirectConnections(proxy)
            # Only what this machine serves itself may be called past the proxy.
            before = {name: value for name, value in before.items() if name.lower() != "no_proxy"}
            environ = before | surroundings.variables(proxy.url, before, hosts_of(serving.calls), node=True)
            if keys := dummy_keys(serving.calls, environ):
                environ |= keys
                print_notice(f"set for the program, since they were not: {', '.join(sorted(keys))}")
            ports = loopback_ports(serving.calls)
            with confined_start(command, proxy, ports, is_live=settings.is_live) as start:
                begun = start.after_start

                def after_start() -> None:
                    begun()
                    serving.server.start()  # behind the fork: no thread runs at that moment

                status = process.run(replace(start, after_start=after_start), environ, adopt=True, look=direct.look)
                left = process.left_running()
                past = directly(direct, everything=False)
                sys.stderr.write("".join(f"sessiontap: not replayed: {one}\n" for one in past) + own.warnings())
                missed = _tell(serving, output)
                status = status or (MISSED if missed else 0)
                if left:
                    stay(process, status, left)
    return status


def _tell(serving: Serving, output: Output) -> bool:
    """Write the report. Return True if a request was not answered."""
    import json

    value = serving.report_value()
    if output.file is not None:
        try:
            with out_file(output.file) as file:
                answer = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
                file.write(answer.encode("utf-8", "backslashreplace"))  # half a character is JSON all the same
        except Failure as failure:
            print_notice(f"there is no report: {failure.message}")
    sys.stderr.write(json.dumps(value, ensure_ascii=False) + "\n" if output.as_json else serving.report_text())
    return serving.not_answered > 0
