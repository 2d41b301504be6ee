"""`sessiontap exec`: any program, captured."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sessiontap.cli.options import command, rules_option, trace_folder, ui_option, written_trace_option
from sessiontap.cli.output import print_notice
from sessiontap.loading import loading

if TYPE_CHECKING:
    from sessiontap.cli.local_proxies import RunningProxy
    from sessiontap.cli.private_proxy import PrivateProxy
    from sessiontap.cli.supervisor import Supervisor


@command(
    "sessiontap exec -- python agent.py",
    "sessiontap exec --name 'Nightly run' --path /eval -- claude -p 'fix the tests'",
    "sessiontap exec --host localhost:11434 -- python ask_ollama.py",
    "sessiontap exec --rules work.yaml -- npm start",
    "sessiontap exec --force -- ./agent-in-go",
    # Arguments after the program's name are the program's.
    context_settings={"allow_interspersed_args": False},
)
@click.argument(
    "command",
    metavar="-- CMD...",
    nargs=-1,
    required=True,
    type=click.Path(),  # a shell completes file names
    help="The program and its arguments.",
)
@click.option("--name", metavar="TEXT", help="The session name of all its calls, a template.")
@click.option("--path", metavar="TEXT", help="The session path of all its calls, a template.")
@click.option(
    "--host",
    "hosts",
    metavar="HOST[:PORT]",
    multiple=True,
    help="Capture calls to this host, too, also one of this machine. Repeatable.",
)
@click.option(
    "--force", is_flag=True, help="Capture programs that ignore the proxy's variables, too (Linux; docs/capture.md)."
)
@ui_option
@rules_option
@written_trace_option
def exec(
    command: tuple[str, ...],
    name: str | None,
    path: str | None,
    hosts: tuple[str, ...],
    force: bool,
    with_page: bool,
    rules: Path | None,
    trace: Path | None,
) -> None:
    """Run a program and capture its LLM calls.

    Its sessions are listed on stderr, and its exit status is passed on.

    It goes through the proxy that runs here. If none runs, or with --name, --path, --host, --rules or another trace
    folder, it gets a proxy of its own, until the last process that it started has ended.
    """
    run = Run(command, force=force, rules=rules, page=with_page)
    click.get_current_context().exit(run_captured(run, name=name, path=path, hosts=hosts, trace=trace))


LONG_RUN = 300_000_000
"""Nanoseconds after which modules for the end of a run are loaded beside it. A short program waits for none of them."""


@dataclass(frozen=True, slots=True)
class Run:
    """A program to run, and what is to be said of it."""

    command: tuple[str, ...]
    force: bool = False
    """Its connections are captured whatever library it uses."""
    rules: Path | None = None
    """The rules file that the user named."""
    whole: bool = False
    """All that was not recorded is said."""
    page: bool = False
    """The page is opened beside it."""


def run_captured(
    run: Run, *, name: str | None = None, path: str | None = None, hosts: tuple[str, ...] = (), trace: Path | None
) -> int:
    """Run a program, print what was recorded of it, and return its status."""
    with loading():
        from sessiontap.cli import local_proxies, program, supervisor
        from sessiontap.cli.environment import foreign_proxy, original, prepare_home

    program.find(run.command[0])
    prepare_home()
    folder = trace_folder(trace)
    before = original(os.environ)
    if dead := local_proxies.dead_proxy(os.environ):
        print_notice(f"the proxy at {dead}, which this terminal's variables name, has ended; another is used")
    proxy = None
    if name is None and path is None and run.rules is None and not hosts:
        behind = foreign_proxy(before) is not None
        found = local_proxies.usable()
        proxy = next((one for one in found if not behind or (one.plain and one.plain.mode == "upstream")), None)
        if proxy is not None and run.force and "[" in proxy.url:
            proxy = None  # sockets of IPv4 cannot be connected to it
    if proxy is not None and trace is not None and proxy.trace != folder:
        proxy = None
    if run.page:
        from sessiontap.cli.page_server import start_beside

        start_beside(proxy.trace if proxy is not None else folder, run.rules)
    process = supervisor.fork()
    if proxy is not None:
        return _through_running_proxy(process, run, proxy, before)
    return _through_own_proxy(process, run, before, name, path, hosts, folder)


def _through_running_proxy(process: Supervisor, run: Run, proxy: RunningProxy, before: dict[str, str]) -> int:
    with loading():
        from sessiontap.cli import local_proxies, summary, unrecorded
        from sessiontap.cli.direct_connections import DirectConnections
        from sessiontap.cli.environment import prepare
        from sessiontap.cli.exec_rules import captured_hosts
        from sessiontap.cli.program import program_start

    before_run = summary.segment_sizes(proxy.trace)
    begun, direct = time.time_ns(), DirectConnections(proxy)

    def meanwhile(pid: int) -> None:
        direct.look(pid)
        if time.time_ns() - begun > LONG_RUN:
            from sessiontap.cli import call_costs, listing  # noqa: F401 (for the end, while nobody waits)

    captured = captured_hosts(proxy.rules)
    environ = before | prepare(proxy.confdir, before).variables(proxy.url, before, captured, node=True)
    with program_start(run.command, environ, proxy, run.force) as start:
        # A program that is captured by force needs us as long as it runs.
        status = process.run(start, environ, adopt=run.force, look=meanwhile)
        answer = local_proxies.recorded(proxy, process.pid)
        find = summary.calls_of_program if answer is None else summary.recorded_calls_of_program
        if answer is not None and before_run and summary.segment_sizes(proxy.trace) == before_run:
            find = summary.no_calls
        text, calls = summary.summarize(find, proxy.trace, process.pid, begun, run.rules)
        missing = unrecorded.after_run(unrecorded.passed(proxy, process.pid), direct, calls=calls, whole=run.whole)
        sys.stderr.write(text + summary.missing(answer) + unrecorded.text(missing))
        if run.force and (left := process.left_running()):
            stay(process, status, left)
    return status


def _through_own_proxy(
    process: Supervisor,
    run: Run,
    before: dict[str, str],
    name: str | None,
    path: str | None,
    hosts: tuple[str, ...],
    folder: Path,
) -> int:
    with loading():
        from sessiontap.cli import local_proxies
        from sessiontap.cli.environment import excepting, prepare, prepare_ca
        from sessiontap.cli.exec_rules import captured_hosts, exec_rules, host_name
        from sessiontap.cli.private_proxy import private_proxy, upstream

    begun = time.time_ns()
    prepare_ca(None)  # first: a proxy that finds one does not make its own
    with exec_rules(run.rules, name, path, hosts) as file, private_proxy(file, folder, upstream(before)) as own:
        process.proxy = own.process
        with loading():  # while it starts, what this end needs
            import encodings.idna  # noqa: F401 (for a connection)

            from sessiontap.callers import procfs  # noqa: F401 (for the end)
            from sessiontap.cli import summary, unrecorded
            from sessiontap.cli.direct_connections import DirectConnections
            from sessiontap.cli.program import program_start
            from sessiontap.trace import reader, restore  # noqa: F401 (for the end)

        surroundings = prepare(None, before)
        likely = (file or Path("rules.yaml")).absolute()
        listed = captured_hosts(likely)
        proxy = own.wait_until_ready()
        direct = DirectConnections(proxy)
        listed = listed if proxy.rules == likely else captured_hosts(proxy.rules)
        captured = [*map(host_name, hosts), *listed]
        environ = before | surroundings.variables(proxy.url, before, captured, node=True)
        for host in map(host_name, hosts):
            if entry := excepting(environ["NO_PROXY"], host):
                print_notice(
                    f"NO_PROXY excepts {host} by {entry!r}: programs that heed it call the host past the proxy"
                )

        def meanwhile(pid: int) -> None:
            direct.look(pid)
            tell_news(own)

        with program_start(run.command, environ, proxy, run.force) as start:
            status = process.run(start, environ, adopt=True, look=meanwhile)
            left = process.left_running()
            answer = local_proxies.recorded(proxy, os.getpid()) if left else None  # all that it runs descends from us
            passed = unrecorded.passed(proxy)
            if not left:
                own.stop()
            find = summary.recorded_calls_of_program if left else summary.calls_of_stopped_proxy
            text, calls = summary.summarize(find, proxy.trace, os.getpid() if left else proxy.pid, begun, run.rules)
            missing = unrecorded.after_run(passed, direct, calls=calls, whole=run.whole)
            sys.stderr.write(own.new_lines(is_last=True) + text + summary.missing(answer) + unrecorded.text(missing))
            if left:
                stay(process, status, left)
    return status


def tell_news(proxy: PrivateProxy) -> None:
    """Print what the program's proxy says while it says it, unless the program may be drawing on that terminal."""
    if os.name == "posix" and not sys.stderr.isatty():
        with suppress(OSError):  # whoever read it has ended
            sys.stderr.write(proxy.new_lines(is_last=False))
            sys.stderr.flush()


def stay(process: Supervisor, status: int, left: Sequence[int]) -> None:
    """Let `exec` end for its caller, and wait for what its program left running."""
    from sessiontap.cli import summary

    sys.stderr.write(summary.still_running(left))
    sys.stderr.flush()
    process.release(status)
    process.wait_for_the_last()
