"""`sessiontap push`: recorded calls for other readers."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sessiontap.cli.errors import Failure, failure_of
from sessiontap.cli.named_path import NAMED_PATH
from sessiontap.cli.options import (
    Command,
    Group,
    command,
    examples,
    json_option,
    open_trace,
    rules_option,
    trace_folder,
    trace_option,
)
from sessiontap.cli.output import print_notice, write, write_json
from sessiontap.push import TARGETS, Target
from sessiontap.units import plural

if TYPE_CHECKING:
    from sessiontap.push.pusher import Pusher
    from sessiontap.trace import Trace

STATUS_EXAMPLES = ("sessiontap push status", "sessiontap push status --json | jq .behind")
_LOOK_FOR_LOG = 1.0
BESIDE_SHARE = 0.2
"""The share of a core that a push beside a proxy takes."""
_NICE = 10
"""Of a push beside a proxy: a tenth of the usual weight. With the least, a busy machine would hardly let it work."""


class Targets(Group):
    """A command for each target, and `status`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*TARGETS, "status"]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in TARGETS and name not in self.commands:
            self.add_command(_command_of(TARGETS[name]), name)
        return self.commands.get(name)


@click.group(cls=Targets, epilog=examples(*STATUS_EXAMPLES), no_args_is_help=False)
def push() -> None:
    """Send recorded calls to other readers of sessions.

    Each target goes on where it stopped, and a call that is sent twice is there once. Credentials come from the
    environment or from a private file. docs/push.md tells of each target.
    """


def _command_of(target: Target) -> click.Command:
    """The command that pushes to one target."""

    def run(**given: Any) -> None:
        _push(target, _PushOptions(**given))

    usual = f" [default: {target.endpoint}]" if target.endpoint else ""
    variable = f" [env: {', '.join(target.endpoint_variables)}]" if target.endpoint_variables else ""
    place = "FOLDER|URL" if target.has_addresses else "FOLDER" if target.is_folder else "URL"
    run.__doc__ = f"{target.summary[:1].upper()}{target.summary[1:].rstrip('.')}.\n\n" + _more(target)
    options = [
        click.option(
            *(["--to"] if target.is_folder else []),
            "--endpoint",
            "endpoint",
            metavar=place,
            help=f"{'The folder of its files' if target.is_folder else 'Its address'}.{usual}{variable}",
        ),
        click.option("--follow", is_flag=True, help="Go on with calls as they are recorded, until Ctrl-C."),
        click.option("--content", is_flag=True, help="Send prompts, replies, tools' arguments and results, too."),
        click.option(
            "--header",
            "headers",
            metavar="'K: V'",
            multiple=True,
            hidden=target.is_folder,
            help="A header of each request, nothing secret: all users can list it. Repeatable.",
        ),
        click.option(
            "--credentials",
            metavar="FILE",
            type=NAMED_PATH,
            hidden=not target.variables,
            help="A file with lines NAME=value that only you can read, instead of the environment.",
        ),
        click.option(
            "--since",
            metavar="WHEN",
            callback=_since,
            help="If nothing was sent there yet: only calls since 2h or 3d ago, or an ISO date or time.",
        ),
        click.option("--beside", metavar="PID", type=int, hidden=True, help="End with this process, which started it."),
        rules_option,
        trace_option,
    ]
    for option in reversed(options):
        run = option(run)
    shown = (f"sessiontap push {target.name}", f"sessiontap push {target.name} --follow --content")
    return command(*shown, cls=Command, name=target.name)(run)


def _since(ctx: click.Context, option: click.Parameter, given: str | None) -> int | None:
    from sessiontap.units import since

    return since(given) if given is not None else None


def _more(target: Target) -> str:
    """The help page's sentences on credentials."""
    needed = " and ".join(target.required)
    other = [name for name in target.variables if name not in target.required]
    sentences = [f"It needs {needed}."] if needed else []
    sentences += [f"It reads {', '.join(other)} if set."] if other else []
    return " ".join([*sentences, "Exit status 1 says that something was not sent."])


@dataclass(frozen=True, slots=True)
class _PushOptions:
    """The options of the command that pushes to a target."""

    endpoint: str | None
    follow: bool
    content: bool
    headers: tuple[str, ...]
    credentials: Path | None
    since: int | None
    """Unix nanoseconds."""
    beside: int | None
    """The process that started it; it ends with that."""
    rules: Path | None
    trace: Path | None


def _push(target: Target, given: _PushOptions) -> None:
    from sessiontap.cli import push_settings
    from sessiontap.cli.call_costs import Costs
    from sessiontap.push.cursor import CursorError
    from sessiontap.push.pusher import Pusher, cursor_of

    address, folder, beside = push_settings.endpoint_of(target, given.endpoint), trace_folder(given.trace), given.beside
    credentials = push_settings.credentials_of(target, given.credentials)
    headers = push_settings.headers_of(given.headers)
    sender, scores = push_settings.open_senders(target, address, credentials, headers, given.content, folder)
    if beside is not None:
        _give_way()
    stop = _stop_by_signals() if given.follow else threading.Event()
    costs = Costs.by(given.rules)
    log = _log(given.trace, stop, beside) if given.follow else open_trace(given.trace)
    if log is None:
        return
    try:
        file, cursor = cursor_of(folder, target.name, address, given.since)
        with file.held(_pause(stop, beside) if beside is not None else None):
            pusher = Pusher(
                log,
                sender,
                file,
                file.read() or cursor,
                target=target,
                content=given.content,
                scores=scores,
                pause=_pause(stop, beside),
                tell=print_notice,
                follow=given.follow,
                share=BESIDE_SHARE if beside is not None else None,
                cost_of=costs.in_trace,
                is_running=log.is_running,
            )
            _run(pusher, target, follow=given.follow)
    except CursorError as error:
        if beside is None or not stop.is_set():  # else another proxy's push was at it all the time, and goes on
            raise failure_of(error) from None


def _run(pusher: Pusher, target: Target, *, follow: bool) -> None:
    """Push, and say what was sent if it ends by itself. Raises Failure if something was not sent."""
    from sessiontap.push.delivery import NotDelivered

    before = _counts(pusher.cursor)
    try:
        pusher.run()
    except NotDelivered as error:
        hint = "its address and its credentials are to be looked at" if error.is_misconfigured else None
        raise Failure(f"{target.name} did not take the calls: {error.reason}", hint) from None
    finally:
        if not follow:
            _summarize(target, pusher, before)
    if not follow and (missing := pusher.cursor.set_aside_count - before[3]) > 0:
        hint = "sessiontap push status tells which, and why"
        raise Failure(f"{plural(missing, 'item')} could not be sent", hint)


def _give_way() -> None:
    """Lower the priority of this process: a proxy's calls come first. It has loaded its modules by then: that takes a
    second once, and would take minutes on a busy machine.

    Linux weighs sessions before the processes in them (sched(7), "autogroup"), and this process has its own.
    """
    with contextlib.suppress(AttributeError, OSError):
        os.nice(_NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICE))


def _counts(cursor: Any) -> tuple[int, int, int, int]:
    return cursor.calls, cursor.turns_sent, cursor.scores, cursor.set_aside_count


def _summarize(target: Target, pusher: Pusher, before: tuple[int, int, int, int]) -> None:
    calls, turns, scores, _ = (now - then for now, then in zip(_counts(pusher.cursor), before, strict=True))
    also_turns = f" and {plural(turns, 'complete user turn')}" if target.has_turns else ""
    still = f"; {plural(pusher.open_turns, 'user turn')} still open" if target.has_turns and pusher.open_turns else ""
    write(f"{plural(calls, 'call')}{also_turns} sent to {target.name}{still}\n")
    if scores:
        write(f"{plural(scores, 'score')} sent\n")
    if pusher.scores is not None and pusher.scores.left_out:
        left_out = plural(pusher.scores.left_out, "score")
        print_notice(f"{left_out} not sent: {target.name} takes {pusher.scores.takes}")


def _stop_by_signals() -> threading.Event:
    """Set by Ctrl-C and by SIGTERM. The second Ctrl-C ends at once."""
    stop = threading.Event()

    def end(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.set()

    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, end)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # the proxy that started this holds it back
    return stop


def _pause(stop: threading.Event, beside: int | None) -> Any:
    """A function that waits, and returns False if all is to end: by a signal, or with the process `beside`."""
    import time

    def pause(seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not stop.is_set() and (beside is None or os.getppid() == beside):
            left = until - time.monotonic()
            if left <= 0:
                return True
            stop.wait(min(left, 1.0))
        return False

    return pause


def _log(trace: Path | None, stop: threading.Event, beside: int | None) -> Trace | None:
    """The log, once there is one; None if all is to end before."""
    from sessiontap.trace import TraceError

    pause = _pause(stop, beside)
    while True:
        try:
            return open_trace(trace)
        except TraceError:
            if trace_folder(trace).exists():
                raise
        if not pause(_LOOK_FOR_LOG):
            return None


@command(*STATUS_EXAMPLES)
@json_option
@trace_option
def status(json: bool, trace: Path | None) -> None:
    """Show what each target lacks, and what failed."""
    from sessiontap.cli.push_status import rows, text

    found = rows(open_trace(trace))
    if json:
        for row in found:
            write_json(row)
    else:
        write(text(found))


push.add_command(status)
