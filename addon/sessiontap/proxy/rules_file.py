"""The rules in force: a file that is read again when it changes, the last good ones otherwise."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from sessiontap.rules import Rules, RulesError, default_rules, load_file

logger = logging.getLogger("sessiontap")

_Stamp = tuple[int, int, int] | None


class RulesFile:
    """`current()` is asked once a call. `path` None: the built-in defaults, for good."""

    def __init__(self, path: Path | None) -> None:
        """Raises RulesError."""
        self.path = path
        self._stamp = self._look()
        self.rules: Rules = load_file(path) if path else default_rules()
        self.error: str | None = None
        """Why the file as it stands is not in force."""
        self.loaded = 1
        self._loading: asyncio.Task[None] | None = None

    def _look(self) -> _Stamp:
        """What a changed file changes: one stat, about a microsecond."""
        if self.path is None:
            return None
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def changed(self) -> bool:
        """Whether the file is another than the one that was read last, or is being read."""
        return self._loading is not None or self._look() != self._stamp

    async def current(self) -> Rules:
        """The rules for this call. A changed file is read on another thread while this call waits, others do not."""
        stamp = self._look()
        if stamp != self._stamp and self._loading is None:
            self._stamp = stamp
            self._loading = asyncio.ensure_future(asyncio.to_thread(self._load))
        if self._loading is not None:
            try:
                await asyncio.wait_for(asyncio.shield(self._loading), 1)
            except TimeoutError:
                return self.rules
            self._loading = None
        return self.rules

    def _load(self) -> None:
        if self.path is None:
            return
        try:
            rules = load_file(self.path)
        except RulesError as error:
            self.error = str(error)
        except OSError as error:
            self.error = f"{self.path}: {error.strerror}"
        else:
            self.rules, self.error = rules, None
            self.loaded += 1
            logger.info(f"sessiontap: {self.path} changed, {len(rules.rules)} rules are in force")
            return
        logger.error(f"sessiontap: the changed rules are not in force, the last good ones stay: {self.error}")
