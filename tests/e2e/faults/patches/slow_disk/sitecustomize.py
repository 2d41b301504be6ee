"""The disk hangs for as long as the file named in `HOLD` is there: whoever forces something to it waits."""

import os
import threading
from pathlib import Path

HOLD = Path(os.environ["HOLD"])
fsync = os.fsync


def hanging(file: int) -> None:
    if HOLD.exists():
        os.write(2, b"THE DISK HANGS\n")
        while HOLD.exists():
            threading.Event().wait(0.02)
    fsync(file)


os.fsync = hanging
