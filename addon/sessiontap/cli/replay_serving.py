"""A replay's server with a recording in it, for the time of a command."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from sessiontap.cli.errors import Misuse
from sessiontap.cli.output import line
from sessiontap.exchange import Request, UrlParts
from sessiontap.units import plural

if TYPE_CHECKING:
    from sessiontap.replay.miss import LiveSocketFrames, ServedRequest
    from sessiontap.replay.question import Miss, Rung
    from sessiontap.replay.replayer import LadderReplayer
    from sessiontap.replay.report import Report
    from sessiontap.trace import RecordedCall, Trace

SPEED_HELP = "Send recorded replies at the recorded speed (recorded), N times as fast, or at once (max)."
SHOWN = 5
"""Hosts, or ids, that are named."""
STRICT_HELP = "The weakest match by which a recorded call answers."


def speed_of(ctx: click.Context, option: click.Parameter, given: str) -> float:
    """Read `--speed`. Return infinity for at once."""
    if given == "max":
        return math.inf
    try:
        speed = 1.0 if given == "recorded" else float(given)
    except ValueError:
        speed = 0.0
    if not 0 < speed < math.inf:
        raise Misuse(f"--speed {given} is no speed", "give recorded, max, or a number such as 10")
    return speed


def replay_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options that say how a recording is replayed."""
    for option in (
        click.option(
            "--until", metavar="CALL", help="Replay the calls up to this one. What is asked after it goes on live."
        ),
        click.option("--live-on-miss", is_flag=True, help="Requests that no recorded call answers go on live."),
        click.option("--speed", metavar="N", default="max", callback=speed_of, help=SPEED_HELP),
        click.option(
            "--strict",
            type=click.Choice(("exact", "canonical", "tools", "place")),
            default="place",
            help=STRICT_HELP,
        ),
    ):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """The recording that is replayed, and how."""

    recorded: tuple[str, ...]
    """Sessions, calls, ranges of calls."""
    strict: Rung
    speed: float
    """Times the recorded speed; infinity is at once."""
    live_on_miss: bool
    until: str | None
    trace: Path

    @property
    def is_live(self) -> bool:
        """A request may go on to its own server."""
        return self.live_on_miss or self.until is not None


class Serving:
    """The server, and the recording once it is loaded."""

    def __init__(self, settings: ReplaySettings) -> None:
        from sessiontap.replay.server import ReplayServer

        self._settings = settings
        self.server = ReplayServer(speed=settings.speed, live=settings.is_live)
        self.calls: list[RecordedCall] = []
        self._replayer: LadderReplayer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.close()

    def load(self, log: Trace, *, at_once: bool) -> None:
        """Load the recording. `at_once`: misses are told as they happen. Raises TraceError and Failure."""
        from sessiontap.cli.replay_input import hosts_of, recorded_calls
        from sessiontap.llm.hosts import serves
        from sessiontap.replay.replayer import open_replayer

        settings = self._settings
        self.calls = recorded_calls(log, settings.recorded)
        until = log.call(settings.until).id if settings.until is not None else None
        if until is not None and all(call.id != until for call in self.calls):
            raise Misuse(f"--until {settings.until} is no call of what is replayed", "sessiontap show lists its calls")
        self._replayer = open_replayer(self.calls, strict=settings.strict, until=until)
        ids = [call.id for call in self.calls]
        beyond = set(ids[ids.index(until) + 1 :]) if until is not None else set()

        hosts = {host.lower() for host in hosts_of(self.calls)}

        def is_call(request: Request) -> bool:
            return request.host.lower() in hosts or serves(request.host.lower(), request.path)

        def goes_live(miss: Miss) -> bool:
            return settings.live_on_miss or miss.nearest in beyond or (until is not None and self._is_answered(until))

        tell = _tell if at_once else lambda served: None
        self.server.load(self._replayer, is_call=is_call, goes_live=goes_live, tell=tell)

    # -- the end -------------------------------------------------------------------------------------------------------

    def report_value(self) -> dict[str, Any]:
        """Return the report as one JSON object (docs/replay.md)."""
        from sessiontap.replay import report

        live = [
            {"method": one.method, "url": one.url, "socket": asdict(one.live_frames) if one.live_frames else None}
            for one in self.server.served()
            if one.went_live
        ]
        others = [{"host": host, "requests": number} for host, number in self._others().items()]
        return {
            **report.as_json(self._report()), "not_answered": self.not_answered, "live": live, "other_hosts": others
        }

    def report_text(self) -> str:
        """Return the report for a person."""
        from sessiontap.replay import report

        lines = report.text(self._report()).splitlines()
        if went := [one for one in self.server.served() if one.went_live]:
            lines.append(f"{plural(len(went), 'request')} went on live")
            lines += [f"    {one.url}: {_live_frames(one.live_frames)}" for one in went if one.live_frames is not None]
        if others := self._others():
            shown = ", ".join([*others][:SHOWN]) + (", ..." if len(others) > SHOWN else "")
            lines.append(f"{plural(others.total(), 'request')} to other hosts refused: {shown}")
        lines[0] = f"sessiontap: replay of {lines[0]}"
        return "\n  ".join(map(line, lines)) + "\n"

    @property
    def not_answered(self) -> int:
        """The requests without an answer that did not go on live. Errands of agents and other hosts do not count."""
        errands = Counter((one.method, one.url) for one in self._report().asked if one.rung is None and one.errand)
        return (Counter((one.method, one.url) for one in self._missed()) - errands).total()

    def _missed(self) -> list[ServedRequest]:
        from sessiontap.replay.question import Miss

        served = self.server.served()
        return [one for one in served if isinstance(one.outcome, Miss) and not one.went_live and not one.is_other]

    def _others(self) -> Counter[str]:
        """How many requests to each host were refused that are no calls of the recording's kind."""
        refused = [one for one in self.server.served() if one.is_other and not one.went_live]
        return Counter(UrlParts.of(one.url).host for one in refused)

    def _report(self) -> Report:
        assert self._replayer is not None
        return self._replayer.report()

    def _is_answered(self, call: str) -> bool:
        from sessiontap.replay.question import Answer

        return any(isinstance(one.outcome, Answer) and one.outcome.reply.call == call for one in self.server.served())


def _live_frames(frames: LiveSocketFrames) -> str:
    """Return in words from where a WebSocket was live."""
    words = f"live from the client's frame {frames.first}"
    if frames.retold:
        words += f"; {plural(frames.retold, 'frame')} told its server what was said before"
    if ids := frames.unknown_ids:
        more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
        words += f"; it named ids of the recording, which its server may not know: {', '.join(ids[:SHOWN])}{more}"
    return words


def _tell(served: ServedRequest) -> None:
    """Write a line for a request that was not answered."""
    from sessiontap.replay.miss import miss_text
    from sessiontap.replay.question import Miss

    if isinstance(served.outcome, Miss) and not served.is_other:
        live = " It went on live." if served.went_live else ""
        text = f"sessiontap: {miss_text(served.method, served.url, served.outcome)}{live}"
        sys.stderr.write(line(text) + "\n")
        sys.stderr.flush()
