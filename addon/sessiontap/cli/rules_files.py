"""Rules files as commands use them: the one that is meant, its rules, and the one that the running proxy uses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sessiontap.cli.errors import Misuse
from sessiontap.cli.named_path import expanded
from sessiontap.cli.output import line

if TYPE_CHECKING:
    from sessiontap.cli.local_proxies import RunningProxy
    from sessiontap.rules import Rules, RulesError


def rules_file(given: Path | None) -> Path | None:
    """The rules file: on the command line, in the environment, else `./rules.yaml`; None for the built-in defaults.

    Raises Misuse if a named one is missing.
    """
    for chosen, by in ((given, "the command line"), (os.environ.get("SESSIONTAP_RULES"), "SESSIONTAP_RULES")):
        if chosen:
            path = expanded(chosen)
            if not os.path.lexists(path):
                raise Misuse(f"there is no rules file {path} (named by {by})", "sessiontap init writes a first one")
            return path
    local = Path("rules.yaml")
    return local if os.path.lexists(local) else None  # what is no file is refused in words when it is read


def named(file: Path | None, rules: Path | None) -> Path:
    """Return the file that is meant, by the argument FILE or by --rules, else the one that a proxy would take.

    Raises Misuse if there is none.
    """
    if file is not None and rules is not None:
        raise Misuse("FILE and --rules both name a rules file", "give one of them")
    path = rules_file(file or rules)
    if path is None:
        raise Misuse(f"there is no rules.yaml in {Path.cwd()}", "sessiontap init writes one; or name another")
    return path


def load(path: Path) -> Rules:
    """Return the rules of a file. Raises Misuse with every problem of it."""
    from sessiontap.rules import RulesError, load_file  # 40 ms that a list without a rules file does not spend

    try:
        return load_file(path)
    except RulesError as error:
        raise not_valid("rules", error) from None


def not_valid(what: str, error: RulesError) -> Misuse:
    """Return the error for a user whose file has problems: each on a line."""
    return Misuse(f"the {what} do not validate\n" + "\n".join(map(line, str(error).splitlines())))


def in_use(file: Path | None) -> str:
    """A sentence: does the proxy that runs use this file (None: the built-in defaults), or which one would take it?"""
    from sessiontap.cli import local_proxies

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
    """Return the sentence that `in_use` has if no proxy runs."""
    if file is None:
        return "no proxy runs here; one that is started in this folder has no rules file, but the built-in defaults"
    named = os.environ.get("SESSIONTAP_RULES")
    if named and _same(file, expanded(named)):
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
