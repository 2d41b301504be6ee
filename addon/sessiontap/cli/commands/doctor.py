"""`sessiontap doctor`: why a call is not in the log."""

from __future__ import annotations

from pathlib import Path

import click

from sessiontap.cli.errors import Misuse
from sessiontap.cli.options import command, json_option, rules_option, trace_folder, trace_option
from sessiontap.cli.output import write, write_json


@command(
    "sessiontap doctor",
    "sessiontap doctor -- python agent.py",
    # Arguments after the program's name are the program's.
    context_settings={"allow_interspersed_args": False},
)
@click.argument(
    "command", metavar="[-- CMD...]", nargs=-1, type=click.Path(), help="A program to run, and to report on."
)
@click.option("--force", is_flag=True, help="With CMD, as `exec --force`.")
@rules_option
@json_option
@trace_option
@click.pass_context
def doctor(
    ctx: click.Context,
    command: tuple[str, ...],
    force: bool,
    rules: Path | None,
    json: bool,
    trace: Path | None,
) -> None:
    """Say why a call is not in the log.

    It tells what is wrong with the proxy, the rules, the log or the CA, and what passed unrecorded.

    With CMD, run it as `exec` does, and list all that was not recorded of it. Exit status 1 says that something is
    wrong; with CMD it is the program's.
    """
    from sessiontap.cli import checks

    if force and not command:
        raise Misuse("--force is for a program to run", "name it: sessiontap doctor --force -- python agent.py")
    if json and command:
        raise Misuse("--json cannot be combined with a program to run", "leave out --json, or the program")
    if command:
        from sessiontap.cli.commands.exec import Run, run_captured

        wrong = [one for one in checks.setup(rules, trace_folder(trace)) if one.is_wrong]
        write(checks.text(wrong))
        ctx.exit(run_captured(Run(command, force=force, rules=rules, whole=True), trace=trace))
    found = [*checks.setup(rules, trace_folder(trace)), *checks.traffic(trace_folder(trace), rules)]
    if json:
        write_json([one._asdict() for one in found])
    else:
        write(checks.text(found))
    ctx.exit(1 if any(one.is_wrong for one in found) else 0)
