"""The rules file of a proxy of `exec`: the user's own, with one rule before all others for `--name` and `--path`.

The text stays the user's own, comments and all; the rule is written into it where YAML's parser says that the list
begins. It is written as JSON, which is YAML and quotes everything.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sessiontap.cli.errors import Misuse
from sessiontap.cli.options import rules_file

if TYPE_CHECKING:
    import yaml

LABEL = "sessiontap exec"


@contextmanager
def rules_with_first(given: Path | None, name: str | None, path: str | None) -> Iterator[Path | None]:
    """The rules file for the proxy, as long as the block runs; None leaves the choice to the proxy. Raises Misuse."""
    if name is None and path is None:
        named = rules_file(given) if given else None
        yield named.absolute() if named else None
        return
    from sessiontap.rules import RulesError, load_file, load_text

    file = rules_file(given)
    try:
        if file is not None:
            load_file(file)  # a mistake in it is told with its own name and lines
    except RulesError as error:
        raise Misuse(str(error)) from None
    merged = prepend(file.read_text(encoding="utf-8-sig") if file else "", rule(name, path))
    try:
        load_text(merged)
    except RulesError as error:
        wrong = error.problems[0]
        raise Misuse(f"--name or --path: {wrong.what}", wrong.expected and f"expected {wrong.expected}") from None
    with tempfile.TemporaryDirectory(prefix="sessiontap-") as folder:
        temporary = Path(folder) / "rules.yaml"
        temporary.write_text(merged, encoding="utf-8")
        yield temporary


def rule(name: str | None, path: str | None) -> str:
    """The rule, on one line, as a YAML flow mapping. It matches every call."""
    session = {key: value for key, value in (("name", name), ("path", path)) if value is not None}
    return json.dumps({"rule": LABEL, "session": session}, ensure_ascii=True)


def prepend(text: str, first: str) -> str:
    """`text`, a valid rules file, with the rule `first` at the head of its list."""
    import yaml

    if not text.endswith("\n"):
        text += "\n"
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        return f"{text}version: 1\nrules: [{first}]\n"
    if not isinstance(root, yaml.MappingNode):
        raise ValueError("a rules file is a map")
    for key, value in root.value:
        if key.value == "rules":
            return _into(text, value, first)
    if root.flow_style:
        return _insert(
            text, root.start_mark.index + 1, f'"rules": [{first}], ' if root.value else f'"rules": [{first}]'
        )
    at = root.end_mark.index
    return _insert(text, at, f"{'' if text[:at].endswith(chr(10)) else chr(10)}rules: [{first}]\n")


def _into(text: str, rules: yaml.Node, first: str) -> str:
    import yaml

    if not isinstance(rules, yaml.SequenceNode):  # nothing behind `rules:`
        return text[: rules.start_mark.index] + f" [{first}]" + text[rules.end_mark.index :]
    at = rules.start_mark.index
    if rules.flow_style:
        return _insert(text, at + 1, f"{first}, " if rules.value else first)
    # A block list begins with its first dash; another item goes on a line before it, just as deep.
    begin = text.rfind("\n", 0, at) + 1
    return _insert(text, begin, f"{' ' * (at - begin)}- {first}\n")


def _insert(text: str, at: int, what: str) -> str:
    return text[:at] + what + text[at:]
