"""`sessiontap run`: the proxy."""

from __future__ import annotations

from pathlib import Path

import typer

from sessiontap.cli.errors import Failure
from sessiontap.cli.options import TraceOption

EXAMPLES = (
    "sessiontap run",
    "sessiontap run --listen-host 127.0.0.1 -p 8080",
    "sessiontap run --set session_rules=work.yaml --set session_trace=/tmp/trace",
)
CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""All of the arguments are mitmdump's: its options, its -h, its --."""


def run(ctx: typer.Context, trace: TraceOption = None) -> None:
    """Start the proxy with the addon loaded. All of mitmdump's options are passed on to it; -h shows them."""
    before = ctx.obj if isinstance(ctx.obj, Path) else None
    folder = trace or before
    arguments = [*(["--set", f"session_trace={folder}"] if folder else []), *ctx.args]
    try:
        from sessiontap.proxy.runner import main
    except ImportError as error:
        raise Failure(
            f"the package {error.name} is missing", "install Sessiontap anew: pip install --force-reinstall sessiontap"
        ) from None
    try:
        main(arguments)
    except SystemExit:
        if {"-h", "--help"} & set(ctx.args):  # mitmproxy counts its own help as a failure
            raise typer.Exit from None
        raise
