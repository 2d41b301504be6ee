"""How `exec` starts a program: by itself, or so that all of its connections come to the proxy (`capture/`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sessiontap.cli.errors import Failure
from sessiontap.cli.output import note

if TYPE_CHECKING:
    from sessiontap.cli.local_proxies import RunningProxy


@dataclass(frozen=True, slots=True)
class ProgramStart:
    """What the program is started with."""

    command: Sequence[str]
    before_exec: Callable[[], None] | None = None
    """Run in its process before it starts."""


@contextmanager
def program_start(
    command: Sequence[str], environ: Mapping[str, str], proxy: RunningProxy, force: bool
) -> Iterator[ProgramStart]:
    """The start of a program that runs, with all that it leaves behind, within the block.

    `environ`: the program's. Raises Failure if `force` does not work here.
    """
    if not force:
        yield ProgramStart(command)
        return
    from sessiontap.capture.force import CannotForce, forced

    assert proxy.plain is not None
    try:
        with forced((proxy.plain.local_host, proxy.plain.port), environ) as way:
            if way.misses is not None:
                note(way.misses)
            yield ProgramStart([*way.prefix, *command], way.before_exec)
    except CannotForce as error:
        raise Failure(f"--force does not work here: {error}", error.hint) from None
