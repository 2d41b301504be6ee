"""The rules file that the running proxy uses, said beside the one that a command reads or writes."""

from __future__ import annotations

import os
from pathlib import Path

from sessiontap.cli import local_proxies
from sessiontap.cli.local_proxies import RunningProxy


def in_use(file: Path | None) -> str:
    """A sentence: does the proxy that runs use this file (None: the built-in defaults), or which one would take it?"""
    proxy = next(local_proxies.usable(), None)
    return of_no_proxy(file) if proxy is None else of_proxy(proxy, file)


def of_proxy(proxy: RunningProxy, file: Path | None) -> str:
    """The sentence for a proxy that runs."""
    which = f"the proxy that runs (pid {proxy.pid})"
    if proxy.rules is None:
        uses = "has no rules file, but the built-in defaults"
        return f"{which} {uses}" if file is None else f"{which} {uses}. {_start(file, again=True)}"
    if file is not None and _same(file, proxy.rules):
        return f"{which} uses this file, and takes a saved change at its next call"
    other = f"{which} uses another file: {proxy.rules}"
    return other if file is None else f"{other}. {_start(file, again=True)}"


def of_no_proxy(file: Path | None) -> str:
    """The sentence if none runs."""
    if file is None:
        return "no proxy runs here; one that is started in this folder has no rules file, but the built-in defaults"
    named = os.environ.get("SESSIONTAP_RULES")
    if named and _same(file, Path(named).expanduser()):
        return "no proxy runs here; one that is started takes this file, as SESSIONTAP_RULES says"
    if named:
        return f"no proxy runs here; one that is started takes {named}, as SESSIONTAP_RULES says. {_start(file)}"
    if _same(file, Path("rules.yaml")):
        return f"no proxy runs here; one that is started in {file.absolute().parent} takes this file"
    return f"no proxy runs here. {_start(file)}"


def _start(file: Path, *, again: bool = False) -> str:
    return f"To use this file, start it{' again' if again else ''} with: sessiontap run --rules {file}"


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
