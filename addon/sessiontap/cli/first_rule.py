"""A rules file with one rule put before all others: what `exec --name` and `--path` mean.

The text stays the user's own, comments and all; the rule is written into it where YAML's parser says that the list
begins. It is written as JSON, which is YAML and quotes everything.
"""

from __future__ import annotations

import json

import yaml

LABEL = "sessiontap exec"


def rule(name: str | None, path: str | None) -> str:
    """The rule, on one line, as a YAML flow mapping. It matches every call."""
    session = {key: value for key, value in (("name", name), ("path", path)) if value is not None}
    return json.dumps({"rule": LABEL, "session": session}, ensure_ascii=True)


def prepend(text: str, first: str) -> str:
    """`text`, a valid rules file, with the rule `first` at the head of its list."""
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
