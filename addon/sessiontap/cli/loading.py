"""Sub-commands that are loaded when they are named: `sessiontap ls` imports no other command's module.

A command `x` is the module `commands/x.py`. It holds a function of that name and EXAMPLES for the end of its help page,
and may hold CONTEXT, settings of the command-line parser. A command with commands of its own holds in their place a
function `group`, EXAMPLES, and COMMANDS: its functions, each with its examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

import typer

from sessiontap.cli.plain_values import Command, Group

COMMANDS = (
    "run", "demo", "init", "env", "exec", "ls", "show", "calls", "cat", "diff", "tail", "stats", "export", "rules",
    "trace",
)  # fmt: skip
"""In the order of the help page."""


class Commands(Group):
    """The group of all of them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Loaded()


class _Loaded(MutableMapping[str, Any]):
    """name -> command, made when it is asked for."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = dict.fromkeys(COMMANDS)

    def __getitem__(self, name: str) -> Any:
        if self._known[name] is None:
            self._known[name] = load(name)
        return self._known[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: object) -> bool:
        return name in self._known


def load(name: str) -> Any:
    """The command of the module `commands/<name>.py`."""
    module = import_module(f"sessiontap.cli.commands.{name}")
    app = typer.Typer(name=name, cls=Group, add_completion=False, rich_markup_mode=None)
    if hasattr(module, "group"):
        app.callback(epilog=examples(module.EXAMPLES))(module.group)
        for function, shown in module.COMMANDS:
            _add(app, function, shown, module)
    else:
        _add(app, getattr(module, name), module.EXAMPLES, module)
    return typer.main.get_command(app)


def examples(lines: Sequence[str]) -> str:
    """For the end of a help page: \b keeps the lines as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _add(app: typer.Typer, function: Callable[..., None], shown: Sequence[str], module: ModuleType) -> None:
    app.command(cls=Command, epilog=examples(shown), context_settings=getattr(module, "CONTEXT", None))(function)
