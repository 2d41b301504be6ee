"""The file that a command writes: private, and there only when it is whole."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sessiontap.cli.errors import Failure


@contextmanager
def out_file(path: Path) -> Iterator[BinaryIO]:
    """Write `path`: 0600, under another name until its end is reached, so that a failure leaves what was there before.

    What is no plain file (`/dev/null`, a pipe) is written to as it is. Raises Failure where it cannot be written.
    """
    target = Path(os.path.realpath(path.expanduser()))
    name = None
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                yield file
            return
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with open(descriptor, "wb") as file:
                yield file
            os.replace(name, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename not in (None, name, str(target)) and name is not None:
            raise  # of another file, that was read meanwhile
        raise Failure(f"{path} cannot be written: {error.strerror}", "name another file with -o FILE") from None
