"""Our own faults: caught where they happen, counted, told once a kind. The call goes on."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Callable

logger = logging.getLogger("sessiontap")


class Guard:
    """See `Faults.guard`. A class, and one object for each kind: every call passes fourteen of them, and a generator
    takes three times as long."""

    __slots__ = ("_faults", "_kind")

    def __init__(self, faults: Faults, kind: str) -> None:
        self._faults, self._kind = faults, kind

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._faults.caught(self._kind, error)
        return True


class Faults:
    """`tell(kind, text)` is called for the first fault of a kind: the trace log's note."""

    def __init__(self, tell: Callable[[str, str], None] | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._guards: dict[str, Guard] = {}
        self.tell = tell

    def guard(self, kind: str) -> Guard:
        """Return a context manager: an exception inside ends the block, is counted and told, and goes no further."""
        return self._guards.get(kind) or self._guards.setdefault(kind, Guard(self, kind))

    def caught(self, kind: str, error: BaseException) -> None:
        """Count `error` as a fault of `kind`; the first is logged with the place it came from."""
        where = traceback.extract_tb(error.__traceback__)
        place = f" ({where[-1].filename.rpartition('/')[2]}:{where[-1].lineno})" if where else ""
        self.report(kind, f"{type(error).__name__}: {error}{place}")

    def report(self, kind: str, text: str) -> None:
        """Count a fault of `kind` that `text` describes; the first is logged and told."""
        self.counts[kind] += 1
        if self.counts[kind] == 1:
            logger.warning(
                f"sessiontap: a fault of its own in {kind}: {text}. The call goes on; "
                "further ones of this kind are counted, not shown."
            )
            if self.tell is not None:
                try:
                    self.tell(kind, text)
                except Exception:
                    logger.debug("sessiontap: the fault could not be noted in the trace", exc_info=True)
