"""The clock of the machine is set: the file in `CLOCK` says by how many seconds the time of day is off.

Clocks that nobody sets go on as they were, but for the file's second number: seconds that have passed for all of them.
"""

import os
import time
from pathlib import Path

time_ns, clock_gettime_ns = time.time_ns, time.clock_gettime_ns


def seconds() -> tuple[int, int]:
    if "CLOCK" not in os.environ:  # what a proxy is forked from
        return 0, 0
    while len(words := Path(os.environ["CLOCK"]).read_text().split()) < 2:
        pass  # it is just being written
    return int(words[0]), int(words[1])


def jumping_time_ns() -> int:
    return time_ns() + sum(seconds()) * 10**9


def steady_ns(clock: int) -> int:
    return clock_gettime_ns(clock) + seconds()[1] * 10**9


time.time_ns, time.clock_gettime_ns = jumping_time_ns, steady_ns
time.time = lambda: jumping_time_ns() / 1e9
