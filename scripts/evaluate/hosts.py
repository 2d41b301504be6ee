"""Compare the table of LLM hosts with newer lists, and name what it lacks: scripts/check-hosts FILE...

A list is any file that holds base URLs of LLM APIs: models.dev's api.json, litellm's providers.json, or a Python file
such as litellm's constants.py, of which the strings are looked at that look like a base URL. Nothing is run of it.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sessiontap.llm.hosts import HOSTS, is_llm_host, serves

_URL_KEYS = ("api", "api_base", "base_url", "url")
_BASE_URL = re.compile(r"(?:https?://)?((?:[a-z0-9-]+\.)+[a-z]{2,})(?::\d+)?((?:/[\w.:-]+)*)/?", re.IGNORECASE)
_LOCAL = re.compile(r"localhost|127\.|0\.0\.0\.0|(?:.*\.)?(?:example|local|internal)$")


class Listed(NamedTuple):
    """A base URL of a list, and the name that the list has for its provider."""

    name: str
    host: str
    path: str


def listed(file: Path) -> Iterator[Listed]:
    """Yield the base URLs of a list. Raises ValueError if it is neither JSON nor Python."""
    text = file.read_text(encoding="utf-8")
    try:
        yield from _in_json(json.loads(text), file.stem)
    except ValueError:
        try:
            yield from _in_python(ast.parse(text))
        except SyntaxError:
            raise ValueError(f"{file} is neither JSON nor Python") from None


def _in_json(value: Any, name: str) -> Iterator[Listed]:
    """The URLs of objects, by the key that leads to them: `{"moonshot": {"api": "https://..."}}`."""
    if isinstance(value, list):
        for inner in value:
            yield from _in_json(inner, name)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in _URL_KEYS and isinstance(inner, str):
                yield from _parsed(name, inner)
            elif isinstance(inner, dict | list) and key != "models":
                yield from _in_json(inner, key if isinstance(inner, dict) else name)


def _in_python(tree: ast.Module) -> Iterator[Listed]:
    """The strings of module-level values whose name says that they are of compatible endpoints."""
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(one, ast.Name) and "compatible" in one.id.lower() for one in targets):
            for inner in ast.walk(node.value):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    yield from _parsed("", inner.value)


def _parsed(name: str, url: str) -> Iterator[Listed]:
    """Nothing for a template (`https://${HOST}/v1`), a name without a dot, or a local server."""
    found = _BASE_URL.fullmatch(url)
    if found is not None and not _LOCAL.match(found[1].lower()):
        yield Listed(name, found[1].lower(), found[2])


def missing(entries: Iterable[Listed]) -> list[Listed]:
    """Return those that the table does not know, each host and path once: by host, then by path."""
    unknown = {(one.host, one.path): one for one in entries if not _is_known(one)}
    return [unknown[key] for key in sorted(unknown)]


def _is_known(entry: Listed) -> bool:
    """A line's path may also be narrower than the base URL: `/v1/chat/completions`."""
    narrower = any(row.pattern == entry.host and f"{row.path}/".startswith(f"{entry.path}/") for row in HOSTS)
    return serves(entry.host, entry.path or "/") or narrower


def main(files: list[str]) -> int:
    """Print what is missing. 1 if something is, 2 if a file cannot be read."""
    found: list[Listed] = []
    for file in files:
        try:
            entries = list(listed(Path(file)))
        except (OSError, ValueError) as fault:
            print(f"error: {fault}", file=sys.stderr)
            return 2
        if not entries:
            print(f"error: {file} holds no base URL", file=sys.stderr)
            return 2
        lacking = missing(entries)
        hosts, unknown = ({one.host for one in some} for some in (entries, lacking))
        print(f"{file}: {len(hosts)} hosts, {len(unknown)} not in the table")
        found += lacking
    for one in missing(found):
        shown = "the host, but not its path" if is_llm_host(one.host) else "nothing of it"
        print(f"  {one.host}{one.path}  {one.name}  (the table has {shown})")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
