"""The disk hangs for as long as the file named in `HOLD` is there: whoever forces something to it waits."""

import os
import threading
from pathlib import Path

fsync = os.fsync


def hanging(file: int) -> None:
    hold = Path(os.environ["HOLD"])
    if hold.exists():
        os.write(2, b"THE DISK HANGS\n")
        while hold.exists():
            threading.Event().wait(0.02)
    fsync(file)


os.fsync = hanging
