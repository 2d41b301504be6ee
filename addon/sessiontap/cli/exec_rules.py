"""The rules file of a proxy of `exec`: the user's own, with a rule for `--name` and `--path`, and hosts for `--host`.

The text stays the user's own, comments and all; items are written into its lists where YAML's parser says that a list
begins. They are written as JSON, which is YAML and quotes everything.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sessiontap.cli.errors import Misuse
from sessiontap.cli.rules_files import not_valid, rules_file

if TYPE_CHECKING:
    import yaml

LABEL = "sessiontap exec"
_OPTIONS = {"session.name": "--name", "session.path": "--path", "host": "--host"}
"""The end of a key in the rules -> the option that it is written from."""


@contextmanager
def exec_rules(given: Path | None, name: str | None, path: str | None, hosts: Sequence[str]) -> Iterator[Path | None]:
    """The rules file for the proxy, as long as the block runs; None leaves the choice to the proxy. Raises Misuse."""
    if name is None and path is None and not hosts:
        named = rules_file(given) if given else None
        yield named.absolute() if named else None
        return
    from sessiontap.rules import RulesError, load_file, load_text

    file = rules_file(given)
    try:
        if file is not None:
            load_file(file)  # a mistake in it is told with its own name and lines
    except RulesError as error:
        raise not_valid("rules", error) from None
    merged = file.read_text(encoding="utf-8-sig") if file else ""
    if name is not None or path is not None:
        merged = prepend(merged, "rules", rule(name, path))
    for host in reversed(hosts):
        merged = prepend(merged, "hosts", json.dumps({"host": host}, ensure_ascii=True))
    try:
        load_text(merged)
    except RulesError as error:
        wrong = error.problems[0]
        option = next((name for key, name in _OPTIONS.items() if wrong.path.endswith(key)), "--name, --path or --host")
        raise Misuse(f"{option}: {wrong.what}", wrong.expected and f"expected {wrong.expected}") from None
    with tempfile.TemporaryDirectory(prefix="sessiontap-") as folder:
        temporary = Path(folder) / "rules.yaml"
        temporary.write_text(merged, encoding="utf-8")
        yield temporary


def captured_hosts(file: Path | None) -> list[str]:
    """The host names that a rules file lists under `hosts:`. A file that is not valid lists none: the proxy tells."""
    try:
        if file is None or b"hosts" not in file.read_bytes():
            return []
    except OSError:
        return []
    from sessiontap.rules import RulesError, load_file

    try:
        return [host_name(entry.host) for entry in load_file(file).hosts]
    except RulesError:
        return []


def host_name(host: str) -> str:
    """A host without its port: `localhost` of `localhost:11434`."""
    name, _, port = host.rpartition(":")
    return (name if name and port.isdigit() and ":" not in name.strip("[]") else host).strip("[]")


def rule(name: str | None, path: str | None) -> str:
    """The rule, on one line, as a YAML flow mapping. It matches every call."""
    session = {key: value for key, value in (("name", name), ("path", path)) if value is not None}
    return json.dumps({"rule": LABEL, "session": session}, ensure_ascii=True)


def prepend(text: str, key: str, first: str) -> str:
    """`text`, a valid rules file, with the item `first` at the head of the list `key`."""
    import yaml

    if not text.endswith("\n"):
        text += "\n"
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        return f"{text}version: 1\n{key}: [{first}]\n"
    if not isinstance(root, yaml.MappingNode):
        raise ValueError("a rules file is a map")
    for name, value in root.value:
        if name.value == key:
            return _into(text, value, first)
    if root.flow_style:
        return _insert(text, root.start_mark.index + 1, f'"{key}": [{first}]{", " if root.value else ""}')
    at = root.end_mark.index
    return _insert(text, at, f"{'' if text[:at].endswith(chr(10)) else chr(10)}{key}: [{first}]\n")


def _into(text: str, items: yaml.Node, first: str) -> str:
    import yaml

    if not isinstance(items, yaml.SequenceNode):  # nothing behind the key
        return text[: items.start_mark.index] + f" [{first}]" + text[items.end_mark.index :]
    at = items.start_mark.index
    if items.flow_style:
        return _insert(text, at + 1, f"{first}, " if items.value else first)
    # A block list begins with its first dash; another item goes on a line before it, just as deep.
    begin = text.rfind("\n", 0, at) + 1
    return _insert(text, begin, f"{' ' * (at - begin)}- {first}\n")


def _insert(text: str, at: int, what: str) -> str:
    return text[:at] + what + text[at:]
