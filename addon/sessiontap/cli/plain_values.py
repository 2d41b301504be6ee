"""Values of the command line that need no conversion are passed on as they are.

typer has pydantic convert every value, None and defaults too, and to import pydantic takes longer than `sessiontap ls`
takes for all the rest. What is not plain (a choice, a number that has bounds, a path that must exist) is left to typer,
and so is everything with a typer that does not say what a parameter's type is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

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
