"""`sessiontap exec`: any program, captured."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sessiontap.cli.options import command, rules_option, trace_folder, trace_option
from sessiontap.cli.output import note

if TYPE_CHECKING:
    from sessiontap.cli.local_proxies import RunningProxy


@command(
    "sessiontap exec -- python agent.py",
    "sessiontap exec --name 'Nightly run' --path /eval -- claude -p 'fix the tests'",
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
@rules_option
@trace_option
@click.pass_context
def exec(
    ctx: click.Context,
    command: tuple[str, ...],
    name: str | None,
    path: str | None,
    rules: Path | None,
    trace: Path | None,
) -> None:
    """Run a program and capture its LLM calls. Its sessions are listed on stderr, and its exit status is passed on.

    It goes through the proxy that runs here. If none runs, or with --name, --path, --rules or another trace folder,
    it gets a proxy of its own for as long as it runs.
    """
    from sessiontap.cli import local_proxies, program, summary
    from sessiontap.cli.environment import foreign_proxy, prepare, prepare_home
    from sessiontap.cli.first_rule import rules_with_first

    program.find(command[0])
    prepare_home()
    folder = trace_folder(trace)
    known = list(local_proxies.running())
    if foreign_proxy(os.environ, [proxy.url for proxy in known]):
        note("the proxy that HTTPS_PROXY names is not used: mitmproxy goes on through it with --mode upstream:URL")
    proxy = known[0] if known and name is None and path is None and rules is None else None
    if proxy is not None and trace is not None and proxy.trace != folder:
        proxy = None

    begun = time.time_ns()
    with program.held_back() as hand_over:
        if proxy is not None:
            pid, status = _run(command, proxy, hand_over)
            answer = local_proxies.recorded(proxy, pid)
            find = summary.calls_of_program if answer is None else summary.recorded_calls_of_program
            result = summary.summarize(find, proxy.trace, pid, begun, rules) + summary.missing(answer)
        else:
            prepare(None, os.environ)  # the CA first: a proxy that finds one does not make its own
            with rules_with_first(rules, name, path) as file, local_proxies.own_proxy(file, folder) as proxy:
                _, status = _run(command, proxy, hand_over)
            result = summary.summarize(summary.calls_of_stopped_proxy, proxy.trace, proxy.pid, begun, rules)
    sys.stderr.write(result)
    ctx.exit(status)


def _run(
    command: Sequence[str], proxy: RunningProxy, hand_over: Callable[[subprocess.Popen[bytes]], None]
) -> tuple[int, int]:
    """Run the program through `proxy`. Return its pid and, when it has ended, its status."""
    from sessiontap.cli import program
    from sessiontap.cli.environment import prepare

    variables = prepare(proxy.confdir, os.environ).variables(proxy.url, os.environ)
    process = program.start(command, os.environ | variables)
    hand_over(process)
    return process.pid, program.status(process.wait())
