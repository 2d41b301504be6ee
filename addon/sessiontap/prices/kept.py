"""Tariffs that were looked up before, kept in a file: to load the list takes longer than a command that shows costs."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
from collections.abc import Callable
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from sessiontap.prices import catalogue
from sessiontap.prices.tariff import Rates, Tariff, Unknown

MOST = 1_000
"""Tariffs in the file."""
_Key = tuple[Any, ...]
"""Provider, names, day, tier, speed."""


class KeptTariffs:
    """`catalogue.find` that remembers its answers, from one process to the next, as long as `version` is the same.

    A file that cannot be read or written is done without: it only saves time. No folder is made for it.
    """

    def __init__(self, file: Path, version: str) -> None:
        self._file, self._version = file, version
        self._is_new = False

    def find(
        self, provider: str | None, names: tuple[str, ...], time: int, tier: str | None, speed: str | None = None
    ) -> Tariff:
        """As `catalogue.find`. Raises `Unknown`."""
        key = provider, names, time // catalogue.DAY, tier, speed
        found = self._kept.get(key)
        if found is None:
            found = _asked(lambda: catalogue.find(provider, names, time, tier, speed))
            if not catalogue.is_by_the_hour(provider, names):
                self._kept[key] = found
                if not self._is_new:
                    self._is_new = True
                    atexit.register(self.save)
        if isinstance(found, str):
            raise Unknown(found)
        return found

    @cached_property
    def _kept(self) -> dict[_Key, Tariff | str]:
        try:
            found = json.loads(self._file.read_bytes())
            if found["version"] != self._version:
                return {}
            return {(one, tuple(names), *rest): _read(kept) for (one, names, *rest), kept in found["tariffs"]}
        except (OSError, ValueError, KeyError, TypeError, ArithmeticError):
            return {}

    def save(self) -> None:
        """Write the newest of them to the file."""
        newest = [(key, _written(kept)) for key, kept in list(self._kept.items())[-MOST:]]
        own = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            with open(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump({"version": self._version, "tariffs": newest}, file)
            own.replace(self._file)


def _asked(find: Callable[[], Tariff]) -> Tariff | str:
    """The tariff, or the reason why there is none."""
    try:
        return find()
    except Unknown as why:
        return str(why)


def _written(kept: Tariff | str) -> Any:
    """As JSON holds it."""
    if isinstance(kept, str):
        return kept
    return [
        [start, {name: str(rate) for name in Rates.__slots__ if (rate := getattr(rates, name)) is not None}]
        for start, rates in kept.steps
    ]


def _read(kept: Any) -> Tariff | str:
    if isinstance(kept, str):
        return kept
    none: dict[str, Any] = {"input": None, "output": None}
    steps = ((int(start), {name: Decimal(rate) for name, rate in rates.items()}) for start, rates in kept)
    return Tariff(tuple((start, Rates(**(none | rates))) for start, rates in steps))
