"""Our own faults: caught where they happen, counted, told once a kind. The call goes on."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger("sessiontap")


class Faults:
    """`tell(kind, text)` is called for the first fault of a kind: the trace log's note."""

    def __init__(self, tell: Callable[[str, str], None] | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.tell = tell

    @contextmanager
    def guard(self, kind: str) -> Iterator[None]:
        """Anything raised inside ends the block, is counted and told, and goes no further."""
        try:
            yield
        except Exception as error:
            self.caught(kind, error)

    def caught(self, kind: str, error: BaseException) -> None:
        """Count `error` as a fault of `kind`; the first is logged with the place it came from."""
        where = traceback.extract_tb(error.__traceback__)
        place = f" ({where[-1].filename.rpartition('/')[2]}:{where[-1].lineno})" if where else ""
        self.report(kind, f"{type(error).__name__}: {error}{place}")

    def report(self, kind: str, text: str) -> None:
        """Count a fault that is already words."""
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
