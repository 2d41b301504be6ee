"""A quick start of `sessiontap ls`: sub-commands are loaded when they are named, and plain values are not converted.

A command `x` is the module `commands/x.py`. It holds a function of that name and EXAMPLES for the end of its help page,
and may hold CONTEXT, settings of the command-line parser. A command with commands of its own holds a function `group`,
EXAMPLES, and COMMANDS, its functions with their examples.

typer has pydantic convert every value, None and defaults too, and to import pydantic takes longer than `sessiontap ls`
takes for everything else. Plain values are therefore passed on as they are. A choice, a number with bounds or a path
that must exist is left to typer, and so is everything if a typer does not say what type a parameter has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS = (
    "run", "demo", "init", "env", "exec", "ls", "show", "calls", "cat", "diff", "tail", "stats", "export", "rules",
    "trace",
)  # fmt: skip
"""In the order of the help page."""

_NOT_PLAIN = object()


class _PlainValues:
    """Of a command whose parameters take plain values as they are."""

    def get_params(self, ctx: Any) -> Any:
        parameters = super().get_params(ctx)  # type: ignore[misc]
        for one in parameters:
            if hasattr(one, "type_descriptor") and "process_value" not in vars(one):
                one.process_value = _process(one, one.process_value)
        return parameters


class Command(_PlainValues, TyperCommand):
    """A command."""


class Group(_PlainValues, TyperGroup):
    """A command with commands of its own."""


def _process(parameter: Any, convert: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def process_value(context: Any, value: Any) -> Any:
        found = _plain(parameter, value)
        if found is _NOT_PLAIN:
            return convert(context, value)
        return found if parameter.callback is None else parameter.callback(context, parameter, found)

    return process_value


def _plain(parameter: Any, value: Any) -> Any:
    """The value for the function, or that it is no plain one."""
    kind, info = parameter.type_descriptor.annotation, parameter.type_descriptor.parameter_info
    if parameter.required or info.parser is not None:
        return value if kind is str and info.parser is None and isinstance(value, str) else _NOT_PLAIN
    if parameter.multiple or parameter.nargs != 1:
        return () if value is None else _NOT_PLAIN
    if value is None or (kind is str and isinstance(value, str)):
        return value
    if kind is Path and isinstance(value, str) and not (info.exists or info.resolve_path or info.writable):
        return Path(value)
    if kind is int and info.min in (None, 0) and info.max is None and str(value).isascii() and str(value).isdecimal():
        return int(value)
    return _NOT_PLAIN



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
