"""`sessiontap init`: the first rules file of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sessiontap.cli.errors import Failure
from sessiontap.cli.output import write

EXAMPLES = ("sessiontap init", "sessiontap init --force")

TEMPLATE = "starter.yaml"


def template() -> str:
    """The commented rules file that comes with the package."""
    from importlib.resources import files

    return files("sessiontap.cli").joinpath(TEMPLATE).read_text(encoding="utf-8")


def init(force: Annotated[bool, typer.Option("--force", help="Overwrite a rules.yaml that is there.")] = False) -> None:
    """Write a rules.yaml with comments into this folder."""
    path = Path("rules.yaml")
    if path.exists() and not path.is_file():
        raise Failure(f"{path.absolute()} is there already, and is no file", "move it away")
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError:
        raise Failure(f"{path.absolute()} is there already", "sessiontap init --force overwrites it") from None
    except OSError as error:
        raise Failure(f"{path.absolute()} cannot be written: {error.strerror}", "go to a folder of your own") from None
    write(f"Wrote {path.absolute()}.\nEdit it, then check it with: sessiontap rules check\n")
