"""Large blocks of memory under glibc: given back to the system when they are freed, or kept for what needs them again.

A block that is the system's again costs a page fault for each 4 KB when the next one is written. glibc decides by one
size for the whole process (mallopt(3)); elsewhere nothing here does anything.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

_LARGE = 1 << 20
"""Bytes of a block that is the system's again as soon as it is freed."""
_KEPT = 16 << 20
"""Bytes of freed blocks that are kept at most; beyond 32 MB glibc keeps none."""
_USUALLY_KEPT = 128 << 10
"""Bytes of a block that glibc keeps before it has seen a larger one."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""`M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` of glibc's malloc.h."""
_set: Callable[[int, int], object] | None = None
"""mallopt, once large blocks are given back."""


def give_large_blocks_back() -> None:
    """Have large blocks given back when they are freed.

    Else glibc keeps blocks as large as the largest that was ever freed (M_MMAP_THRESHOLD), and small ones that outlive
    them cut that memory into pieces.
    """
    global _set
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(AttributeError, OSError):  # another libc
            _set = ctypes.PyDLL(None).mallopt
            _set(_MMAP_THRESHOLD, _LARGE)


@contextlib.contextmanager
def kept_large_blocks() -> Iterator[None]:
    """Keep what is allocated within when it is freed: for work that takes the same large blocks again and again, and
    frees them before its end."""
    if _set is None:
        yield
        return
    _set(_TRIM_THRESHOLD, _KEPT)
    _set(_MMAP_THRESHOLD, _KEPT)
    try:
        yield
    finally:
        _set(_MMAP_THRESHOLD, _LARGE)


def expect_large_blocks(size: int) -> None:
    """Have blocks of up to `size` bytes kept from now on, unless large ones are given back.

    glibc asks the system for each block that is larger than all that were freed before. For bodies that grow this costs
    more than decoding them. Nothing is written to the block that is freed here, so it costs no page.
    """
    if size > _USUALLY_KEPT:
        bytearray(min(size, _KEPT))
