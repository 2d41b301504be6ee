"""The rules in force: a file that is read again when it changes; the last good rules otherwise.

The loop pays one stat for each call, and one a second while none comes: who saves a file is told at once. The file is
read on a thread of its own, once at a time: however often it changes meanwhile, it is read once more. A call waits for
rules that were saved before it, but no longer than `PATIENCE` after their reading began; rules that take longer are in
force as soon as they are read. Whatever stands at the path, the worst that comes of it is a line that says so.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sessiontap.rules import Rules, RulesError, default_rules, load_file

logger = logging.getLogger("sessiontap")

PATIENCE = 1.0
"""Seconds that calls wait for changed rules."""
LOOK_SECONDS = 1.0
"""Between two looks at the file while no call comes."""
STILL_SECONDS = 0.1
"""For which a changed file must stand still before it is read without a call: editors save in several steps."""

_Stamp = tuple[int, ...]


class RulesFile:
    """`path` None: the built-in defaults, for good. `changed` is called on the loop when `rules` or `error` is new.

    `tells`: the user is told of it. Of several workers the first one does.
    """

    def __init__(
        self,
        path: Path | None,
        changed: Callable[[RulesFile], None] = lambda file: None,
        load: Callable[[Path], Rules] = load_file,
        *,
        tells: bool = True,
    ) -> None:
        """Raises RulesError."""
        self.path = path
        self._name = str(path)
        self._changed = changed
        self._read = load
        self._tells = tells
        self._stamp = self._look()
        self.rules: Rules = load(path) if path else default_rules()
        self.error: str | None = None
        """Why the file as it stands is not in force."""
        self._loading: asyncio.Task[None] | None = None
        self._since = 0.0
        self._thread = ThreadPoolExecutor(1, "sessiontap-rules")

    def _look(self) -> _Stamp:
        """The stamp that changes with the file: one stat, about a microsecond."""
        if self.path is None:
            return ()
        try:
            found = os.stat(self._name)  # Path.stat takes three times as long
        except OSError as error:
            return (error.errno or 0,)
        # The time of its status too: a file that may be read again is as old as before.
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode

    def is_current(self) -> bool:
        """True if the file is the one that was read last, and nothing is being read."""
        return self._loading is None and self._look() == self._stamp

    async def current(self) -> Rules:
        """The rules for a call that comes now. Never raises, but for its own cancellation."""
        until = time.monotonic() + PATIENCE
        while not self.is_current():
            if self._loading is None:
                self._stamp = self._look()
                self._since = time.monotonic()
                self._loading = asyncio.get_running_loop().create_task(self._load())
            patience = min(until, self._since + PATIENCE) - time.monotonic()
            if patience <= 0:
                break
            await asyncio.wait([self._loading], timeout=patience)
        return self.rules

    async def watch(self) -> None:
        """Read each change, also while no call comes. It ends with its task, or if there is no file."""
        seen = self._stamp
        while self.path is not None:
            await asyncio.sleep(LOOK_SECONDS if seen == self._stamp else STILL_SECONDS)
            before, seen = seen, self._look()
            if seen == before != self._stamp:
                await self.current()

    async def _load(self) -> None:
        assert self.path is not None
        try:
            rules = await asyncio.get_running_loop().run_in_executor(self._thread, self._read, self.path)
        except RulesError as error:
            self._keep_last_good(error.short)
        except Exception as error:
            self._keep_last_good(f"{self.path}: it cannot be read ({type(error).__name__}: {str(error)[:200]})")
        else:
            self._put_in_force(rules)
        finally:
            self._loading = None

    def _put_in_force(self, rules: Rules) -> None:
        if rules.digest == self.rules.digest and self.error is None:
            return  # it was saved, but not changed
        self.rules, self.error = rules, None
        if self._tells:
            logger.info(f"sessiontap: {self.path} changed, {rules.counted} in force")
        self._changed(self)

    def _keep_last_good(self, error: str) -> None:
        if error == self.error:
            return  # that is said already
        self.error = error
        if self._tells:
            logger.error(f"sessiontap: the changed rules are not in force, the last good ones stay: {error}")
        self._changed(self)
