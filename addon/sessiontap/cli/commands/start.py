"""`sessiontap run`, `demo` and `init`: the proxy, a trial of it, and a first rules file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from sessiontap.cli.errors import Failure, Misuse
from sessiontap.cli.options import command, trace_option
from sessiontap.cli.output import write

_PRINTS = {"-h", "--help", "--version", "--options", "--commands"}
"""Arguments of mitmdump's by which it prints something and ends."""


@command(
    "sessiontap run",
    "sessiontap run --listen-host 127.0.0.1 -p 8080",
    "sessiontap run --set session_rules=work.yaml --set session_trace=/tmp/trace",
    "sessiontap run --workers 4 -p 8080",
    # All of the arguments are mitmdump's: its options, its -h, its --.
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(1, 64),
    default=1,
    help="So many proxy processes behind the port, for a machine with as many cores to spare.",
)
@trace_option
@click.pass_context
def run(ctx: click.Context, workers: int, trace: Path | None) -> None:
    """Start the proxy with the addon loaded. All of mitmdump's options are passed on to it; -h shows them."""
    from sessiontap.proxy.entry import exit_with_error, unmet

    if wrong := unmet():
        exit_with_error(wrong)
    arguments = [*_trace_option(trace, ctx.args), *ctx.args]
    if workers > 1 and _PRINTS.isdisjoint(ctx.args):
        if os.name != "posix":
            raise Misuse("--workers needs a system that can hand sockets to other processes", "leave --workers out")
        from sessiontap.proxy import front

        ctx.exit(front.main(workers, arguments))
    from sessiontap.proxy.runner import main

    try:
        main(arguments)
    except SystemExit:
        if {"-h", "--help"} & set(ctx.args):  # mitmproxy counts its own help as a failure
            ctx.exit()
        raise


def _trace_option(trace: Path | None, arguments: list[str]) -> list[str]:
    """Return mitmproxy's option for the folder, unless the user gives it: mitmproxy refuses a second one."""
    given = any(one.removeprefix("--set=").startswith("session_trace=") for one in arguments)
    return ["--set", f"session_trace={trace}"] if trace is not None and not given else []


@command("sessiontap demo")
def demo() -> None:
    """Try it without keys or network: a small local LLM server, unmodified clients, their session trees."""
    from sessiontap.demo.run_demo import run_demo

    run_demo()


@command("sessiontap init", "sessiontap init --force")
@click.option("--force", is_flag=True, help="Overwrite a rules.yaml that is there.")
def init(force: bool) -> None:
    """Write a rules.yaml with comments into this folder."""
    path = Path("rules.yaml")
    if path.exists() and not path.is_file():
        raise Failure(f"{path.absolute()} is there already, and is no file", "move it away")
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(starter_rules())
    except FileExistsError:
        raise Failure(f"{path.absolute()} is there already", "sessiontap init --force overwrites it") from None
    except OSError as error:
        raise Failure(f"{path.absolute()} cannot be written: {error.strerror}", "go to a folder of your own") from None
    write(f"Wrote {path.absolute()}.\nEdit it, then check it with: sessiontap rules check\n")


def starter_rules() -> str:
    """The commented rules file that comes with the package."""
    from importlib.resources import files

    return files("sessiontap.cli").joinpath("starter.yaml").read_text(encoding="utf-8")
