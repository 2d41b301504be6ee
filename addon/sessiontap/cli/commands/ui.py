"""`sessiontap ui`: the sessions in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sessiontap.cli.errors import Misuse
from sessiontap.cli.named_path import NAMED_PATH
from sessiontap.cli.options import WholeNumber, command, rules_option, trace_option

if TYPE_CHECKING:
    from sessiontap.ui.reading import Reading


@command("sessiontap ui", "sessiontap ui --port 9000 --no-browser", "sessiontap ui --unix ~/sessiontap.sock")
@click.option(
    "--port",
    metavar="PORT",
    type=WholeNumber(0, 65535),
    help="Listen at this port of 127.0.0.1 [default: 8420, or the next free one].",
)
@click.option("--unix", metavar="PATH", type=NAMED_PATH, help="Listen at this Unix socket instead.")
@click.option("--no-browser", is_flag=True, help="Open no browser, only print the address.")
@click.option("--beside", metavar="PID", type=int, hidden=True, help="End with this process, which started it.")
@rules_option
@trace_option
def ui(
    port: int | None, unix: Path | None, no_browser: bool, beside: int | None, rules: Path | None, trace: Path | None
) -> None:
    """Show the sessions in a browser.

    The page is served to this machine alone. It reads the log, and writes nothing but the scores and notes that you
    give there. Ctrl-C ends it.
    """
    from sessiontap.cli import page_server

    if port is not None and unix is not None:
        raise Misuse("--port and --unix cannot be combined", "give one of them")
    if trace is not None or rules is not None:
        open_reading(rules, trace).trace.close()  # what is named must be there; the usual log may be still to come
    page_server.run(lambda: open_reading(rules, trace), port, unix, browser=not no_browser, beside=beside)


def open_reading(rules: Path | None, trace: Path | None) -> Reading:
    """The log and the prices as a page asks them."""
    from sessiontap.cli import annotating, checks
    from sessiontap.cli.call_costs import Costs
    from sessiontap.cli.options import open_trace, trace_folder
    from sessiontap.ui.reading import Reading

    costs, folder = Costs.by(rules), trace_folder(trace)
    return Reading(
        open_trace(trace),
        costs.prices,
        costs.terms,
        findings=lambda: [one._asdict() for one in (*checks.setup(rules, folder), *checks.traffic(folder, rules))],
        rules=lambda: checks.rules_in_force(folder, rules),
        user=annotating.user(),
    )
