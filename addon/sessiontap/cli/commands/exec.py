"""`sessiontap exec`: any program, captured."""

from __future__ import annotations

import os
import sys
import time
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
@rules_option
@trace_option
@click.pass_context
def exec(
    ctx: click.Context,
    command: tuple[str, ...],
    name: str | None,
    path: str | None,
    hosts: tuple[str, ...],
    rules: Path | None,
    trace: Path | None,
) -> None:
    """Run a program and capture its LLM calls. Its sessions are listed on stderr, and its exit status is passed on.

    It goes through the proxy that runs here. If none runs, or with --name, --path, --host, --rules or another trace
    folder, it gets a proxy of its own, until the last process that it started has ended.
    """
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
    if proxy is not None and trace is not None and proxy.trace != folder:
        proxy = None
    process = supervisor.fork()
    if proxy is not None:
        status = _through_running_proxy(process, command, proxy, before, rules)
    else:
        status = _through_own_proxy(process, command, before, name, path, hosts, rules, folder)
    ctx.exit(status)


def _through_running_proxy(
    process: Supervisor, command: tuple[str, ...], proxy: RunningProxy, before: dict[str, str], rules: Path | None
) -> int:
    from sessiontap.cli import local_proxies, summary
    from sessiontap.cli.environment import prepare
    from sessiontap.cli.exec_rules import captured_hosts

    begun = time.time_ns()
    set_by_us = prepare(proxy.confdir, before).variables(proxy.url, before, captured_hosts(proxy.rules))
    status = process.run(command, before | set_by_us, adopt=False)
    answer = local_proxies.recorded(proxy, process.pid)
    find = summary.calls_of_program if answer is None else summary.recorded_calls_of_program
    sys.stderr.write(summary.summarize(find, proxy.trace, process.pid, begun, rules) + summary.missing(answer))
    return status


def _through_own_proxy(
    process: Supervisor,
    command: tuple[str, ...],
    before: dict[str, str],
    name: str | None,
    path: str | None,
    hosts: tuple[str, ...],
    rules: Path | None,
    folder: Path,
) -> int:
    from sessiontap.cli import summary
    from sessiontap.cli.environment import prepare, prepare_ca
    from sessiontap.cli.exec_rules import captured_hosts, exec_rules, host_name
    from sessiontap.cli.private_proxy import private_proxy, upstream

    begun = time.time_ns()
    prepare_ca(None)  # first: a proxy that finds one does not make its own
    with exec_rules(rules, name, path, hosts) as file, private_proxy(file, folder, upstream(before)) as own:
        process.proxy = own.process
        surroundings = prepare(None, before)  # while it starts
        proxy = own.wait_until_ready()
        captured = [*map(host_name, hosts), *captured_hosts(proxy.rules)]
        status = process.run(command, before | surroundings.variables(proxy.url, before, captured), adopt=True)
        if left := process.left():
            from sessiontap.cli import local_proxies

            answer = local_proxies.recorded(proxy, process.pid)
            result = summary.summarize(summary.recorded_calls_of_program, proxy.trace, process.pid, begun, rules)
            sys.stderr.write(own.warnings() + result + summary.missing(answer) + summary.still_running(left))
            sys.stderr.flush()
            process.release(status)
            process.wait_for_the_last()
            return status
        own.stop()
        warnings = own.warnings()
    sys.stderr.write(warnings)
    sys.stderr.write(summary.summarize(summary.calls_of_stopped_proxy, proxy.trace, proxy.pid, begun, rules))
    return status
