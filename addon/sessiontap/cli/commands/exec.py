"""`sessiontap exec`: any program, captured."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sessiontap.cli.errors import Misuse
from sessiontap.cli.options import RulesOption, TraceOption, rules_file, trace_folder
from sessiontap.cli.output import note

if TYPE_CHECKING:
    from sessiontap.cli.local_proxies import RunningProxy

EXAMPLES = (
    "sessiontap exec -- python agent.py",
    "sessiontap exec --name 'Nightly run' --path /eval -- claude -p 'fix the tests'",
    "sessiontap exec --rules work.yaml -- npm start",
)

CONTEXT = {"allow_interspersed_args": False}
"""Arguments after the program's name are the program's."""


def exec(
    ctx: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="The program and its arguments.")],
    name: Annotated[str | None, typer.Option("--name", help="Session name of all its calls, a template.")] = None,
    path: Annotated[str | None, typer.Option("--path", help="Session path of all its calls, a template.")] = None,
    rules: RulesOption = None,
    trace: TraceOption = None,
) -> None:
    """Run a program and capture its LLM calls. Its sessions are listed on stderr, and its exit status is passed on.

    It goes through the proxy that runs here. If none runs, or with --name, --path, --rules or another trace folder,
    it gets a proxy of its own for as long as it runs.
    """
    from sessiontap.cli import local_proxies, program, summary
    from sessiontap.cli.environment import foreign_proxy, prepare, prepare_home
    from sessiontap.cli.local_proxies import own_proxy

    program.find(command[0])
    prepare_home()
    folder = trace_folder(ctx, trace)
    known = list(local_proxies.running())
    if foreign_proxy(os.environ, [proxy.url for proxy in known]):
        note("the proxy that HTTPS_PROXY names is not used: mitmproxy goes on through it with --mode upstream:URL")
    proxy = known[0] if known and name is None and path is None and rules is None else None
    named_trace = trace or ctx.obj or os.environ.get("SESSIONTAP_TRACE")
    if proxy is not None and named_trace and proxy.trace != folder:
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
            with _rules(rules, name, path) as file, own_proxy(file, folder) as proxy:
                _, status = _run(command, proxy, hand_over)
            result = summary.summarize(summary.calls_of_stopped_proxy, proxy.trace, proxy.pid, begun, rules)
    sys.stderr.write(result)
    raise typer.Exit(status)


def _run(
    command: Sequence[str], proxy: RunningProxy, hand_over: Callable[[subprocess.Popen[bytes]], None]
) -> tuple[int, int]:
    """The program's pid and, when it has ended, its status."""
    from sessiontap.cli import program
    from sessiontap.cli.environment import prepare

    variables = prepare(proxy.confdir, os.environ).variables(proxy.url, os.environ)
    process = program.start(command, os.environ | variables)
    hand_over(process)
    return process.pid, program.status(process.wait())


@contextmanager
def _rules(given: Path | None, name: str | None, path: str | None) -> Iterator[Path | None]:
    """The rules file for a proxy of its own; None leaves the choice to the proxy. Raises Misuse."""
    if name is None and path is None:
        named = rules_file(given) if given else None
        yield named.absolute() if named else None
        return
    from sessiontap.cli import first_rule
    from sessiontap.rules import RulesError, load_file, load_text

    file = rules_file(given)
    try:
        if file is not None:
            load_file(file)  # what is wrong in it is said with its own name and lines
    except RulesError as error:
        raise Misuse(str(error)) from None
    merged = first_rule.prepend(file.read_text(encoding="utf-8-sig") if file else "", first_rule.rule(name, path))
    try:
        load_text(merged)
    except RulesError as error:
        wrong = error.problems[0]
        raise Misuse(f"--name or --path: {wrong.what}", wrong.expected and f"expected {wrong.expected}") from None
    with tempfile.TemporaryDirectory(prefix="sessiontap-") as folder:
        temporary = Path(folder) / "rules.yaml"
        temporary.write_text(merged, encoding="utf-8")
        yield temporary
