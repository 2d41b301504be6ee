"""Paths as users name them. No shell replaces the `~` of `--output=~/calls.jsonl`, or of a variable in a unit file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from sessiontap.cli.errors import Misuse


def expanded(named: Path | str) -> Path:
    """The path with its `~` replaced. Raises Misuse if no home folder is known for the user."""
    try:
        return Path(named).expanduser()
    except RuntimeError:
        why = "HOME is not set" if Path(named).parts[0] == "~" else "this machine has no such user"
        raise Misuse(f"what ~ stands for in {named} is not known", f"give the whole path: {why}") from None


class _NamedPath(click.Path):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if value == "":  # pathlib takes it for the working directory
            self.fail("the path is empty", param, ctx)
        return expanded(os.fsdecode(super().convert(value, param, ctx)))


NAMED_PATH = _NamedPath(path_type=Path)
"""The type of an argument or an option."""
