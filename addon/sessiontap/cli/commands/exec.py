"""`sessiontap exec`: any program, captured."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sessiontap.cli.options import command, rules_option, trace_folder, trace_option
from sessiontap.cli.output import note

if TYPE_CHECKING:
    from sessiontap.cli.local_proxies import RunningProxy
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
@click.option("--name", metavar="TEXT", help="Session name of all its calls, a template.")
@click.option("--path", metavar="TEXT", help="Session path of all its calls, a template.")
@click.option(
    "--host",
    "hosts",
    metavar="HOST[:PORT]",
    multiple=True,
    help="Capture calls to this host, too, also one of this machine. Repeatable.",
)
@click.option(
    "--force", is_flag=True, help="Capture programs that ignore HTTPS_PROXY, too (docs/capture.md). For Linux."
)
@rules_option
@trace_option
@click.pass_context
def exec(
    ctx: click.Context,
    command: tuple[str, ...],
    name: str | None,
    path: str | None,
    hosts: tuple[str, ...],
    force: bool,
    rules: Path | None,
    trace: Path | None,
) -> None:
    """Run a program and capture its LLM calls. Its sessions are listed on stderr, and its exit status is passed on.

    It goes through the proxy that runs here. If none runs, or with --name, --path, --host, --rules or another trace
    folder, it gets a proxy of its own, until the last process that it started has ended.
    """
    ctx.exit(run_captured(command, name=name, path=path, hosts=hosts, force=force, rules=rules, trace=trace))


def run_captured(
    command: tuple[str, ...],
    *,
    name: str | None = None,
    path: str | None = None,
    hosts: tuple[str, ...] = (),
    force: bool = False,
    rules: Path | None,
    trace: Path | None,
    whole: bool = False,
) -> int:
    """Run a program, print what was recorded of it, and return its status. `whole`: and all that was not."""
    from sessiontap.cli import local_proxies, program, supervisor
    from sessiontap.cli.environment import foreign_proxy, original, prepare_home

    program.find(command[0])
    prepare_home()
    folder = trace_folder(trace)
    before = original(os.environ)
    if dead := local_proxies.dead_proxy(os.environ):
        note(f"the proxy at {dead}, which this terminal's variables name, has ended; another is used")
    proxy = None
    if name is None and path is None and rules is None and not hosts:
        behind = foreign_proxy(before) is not None
        found = local_proxies.usable()
        proxy = next((one for one in found if not behind or (one.plain and one.plain.mode == "upstream")), None)
        if proxy is not None and force and "[" in proxy.url:
            proxy = None  # sockets of IPv4 cannot be connected to it
    if proxy is not None and trace is not None and proxy.trace != folder:
        proxy = None
    process = supervisor.fork()
    if proxy is not None:
        return _through_running_proxy(process, command, proxy, before, force, rules, whole)
    return _through_own_proxy(process, command, before, name, path, hosts, force, rules, folder, whole)


def _through_running_proxy(
    process: Supervisor,
    command: tuple[str, ...],
    proxy: RunningProxy,
    before: dict[str, str],
    force: bool,
    rules: Path | None,
    whole: bool,
) -> int:
    from sessiontap.cli import local_proxies, summary, unrecorded
    from sessiontap.cli.direct_connections import DirectConnections
    from sessiontap.cli.environment import prepare
    from sessiontap.cli.exec_rules import captured_hosts
    from sessiontap.cli.program_start import program_start

    begun, direct = time.time_ns(), DirectConnections(proxy)
    set_by_us = prepare(proxy.confdir, before).variables(proxy.url, before, captured_hosts(proxy.rules))
    with program_start(command, before | set_by_us, proxy, force) as start:
        status = process.run(start.command, start.environ, adopt=force, look=direct.look, before_exec=start.before_exec)
        left = process.left() if force else []
        answer = local_proxies.recorded(proxy, process.pid)
        find = summary.calls_of_program if answer is None else summary.recorded_calls_of_program
        text, calls = summary.summarize(find, proxy.trace, process.pid, begun, rules)
        missing = unrecorded.after_run(unrecorded.passed(proxy, process.pid), direct, calls=calls, whole=whole)
        sys.stderr.write(text + summary.missing(answer) + unrecorded.text(missing))
        if left:  # their connections are opened by us
            sys.stderr.flush()
            process.release(status)
            process.wait_for_the_last()
    return status


def _through_own_proxy(
    process: Supervisor,
    command: tuple[str, ...],
    before: dict[str, str],
    name: str | None,
    path: str | None,
    hosts: tuple[str, ...],
    force: bool,
    rules: Path | None,
    folder: Path,
    whole: bool,
) -> int:
    from sessiontap.cli import local_proxies, summary, unrecorded
    from sessiontap.cli.direct_connections import DirectConnections
    from sessiontap.cli.environment import prepare, prepare_ca
    from sessiontap.cli.exec_rules import captured_hosts, exec_rules, host_name
    from sessiontap.cli.private_proxy import private_proxy, upstream
    from sessiontap.cli.program_start import program_start

    begun = time.time_ns()
    prepare_ca(None)  # first: a proxy that finds one does not make its own
    with ExitStack() as in_block:
        file = in_block.enter_context(exec_rules(rules, name, path, hosts))
        own = in_block.enter_context(private_proxy(file, folder, upstream(before)))
        process.proxy = own.process
        surroundings = prepare(None, before)  # while it starts
        proxy = own.wait_until_ready()
        direct = DirectConnections(proxy)
        captured = [*map(host_name, hosts), *captured_hosts(proxy.rules)]
        variables = surroundings.variables(proxy.url, before, captured)
        start = in_block.enter_context(program_start(command, before | variables, proxy, force))
        status = process.run(start.command, start.environ, adopt=True, look=direct.look, before_exec=start.before_exec)
        left = process.left()
        answer = local_proxies.recorded(proxy, os.getpid()) if left else None  # all that it runs descends from us
        passed = unrecorded.passed(proxy)
        if not left:
            own.stop()
        find = summary.recorded_calls_of_program if left else summary.calls_of_stopped_proxy
        text, calls = summary.summarize(find, proxy.trace, os.getpid() if left else proxy.pid, begun, rules)
        missing = unrecorded.after_run(passed, direct, calls=calls, whole=whole)
        sys.stderr.write(own.warnings() + text + summary.missing(answer) + unrecorded.text(missing))
        if left:
            sys.stderr.write(summary.still_running(left))
            sys.stderr.flush()
            process.release(status)
            process.wait_for_the_last()
    return status
