"""The items of `push:`: targets that recorded calls are sent to while the proxy runs, and what is wrong with one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sessiontap import trust
from sessiontap.push import TARGETS, Target
from sessiontap.push.target import holds_credential
from sessiontap.rules.kinds import PUSH_CREDENTIALS
from sessiontap.rules.node_reader import RulesReader
from sessiontap.rules.problems import BadValue, quoted


@dataclass(frozen=True, slots=True)
class PushEntry:
    """An item of `push:`: recorded calls are sent there while the proxy runs."""

    target: str
    endpoint: str | None
    """None: the target's usual one, or that of its variable."""
    content: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    credentials: str | None = None
    """A private file, instead of the proxy's environment."""


def read_pushes(given: Iterable[Mapping[str, Any]], reader: RulesReader) -> Iterator[PushEntry]:
    """Yield the items. Problems are added to `reader`."""
    known: set[tuple[str, str | None]] = set()
    for at, one in enumerate(given):
        target = TARGETS.get(one.get("to", ""))
        if target is None:
            continue  # a problem already
        endpoint = one.get("endpoint")
        if endpoint is None and target.endpoint is None and not target.endpoint_variables:
            reader.problem(f"push[{at}]", BadValue(f"{target.name} has no usual address", "endpoint: with one"))
        if endpoint is not None and not _fits(endpoint, target):
            what = f"{target.name} {'writes files into a folder' if target.is_folder else 'is at an address'}"
            expected = "a path" if target.is_folder else "https://HOST, or http:// on this machine"
            reader.problem(f"push[{at}].endpoint", BadValue(what, expected), endpoint)
        elif (
            endpoint is not None
            and not target.is_folder
            and (target.required or "credentials" in one)  # others are looked at when it starts
            and trust.is_plain_beyond_loopback(endpoint)
        ):
            bad = BadValue(
                f"{quoted(endpoint)} would carry credentials over the network in clear",
                "https://HOST, or http:// on this machine (127.0.0.1, localhost, [::1])",
            )
            reader.problem(f"push[{at}].endpoint", bad, endpoint)
        if (target.name, endpoint) in known:
            reader.problem(f"push[{at}]", BadValue(f"{target.name} is there twice, at one address"))
        known.add((target.name, endpoint))
        headers = tuple(one.get("headers", {}).items())
        for name, value in headers:
            if holds_credential(name, value):
                reader.problem(f"push[{at}].headers.{name}", BadValue("its value is a credential", PUSH_CREDENTIALS))
        yield PushEntry(target.name, endpoint, one.get("content", False), headers, one.get("credentials"))


def _fits(endpoint: str, target: Target) -> bool:
    """Return True if the target takes a folder, or an address, of this kind."""
    if "://" not in endpoint:
        return target.is_folder
    return target.has_addresses if target.is_folder else re.match("https?://[^/]", endpoint) is not None
