"""The memory of large blocks, as glibc holds it."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="only glibc keeps large blocks"
)
BEFORE = """
import ctypes
from sessiontap.large_blocks import give_large_blocks_back, kept_large_blocks

class Malloc(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    )]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Malloc
give_large_blocks_back()
"""
GIVEN_BACK = """
bytearray(16 << 20)  # glibc would keep blocks of up to this size from here on
before = libc.mallinfo2().hblks
blocks = [bytearray(2 << 20) for _ in range(4)]
print(libc.mallinfo2().hblks - before)
"""
KEPT = """
with kept_large_blocks():
    bytearray(4 << 20)
print(libc.mallinfo2().keepcost >= 4 << 20)
"""
LIKE_BEFORE = """
with kept_large_blocks():
    bytearray(4 << 20)
before = libc.mallinfo2().hblks
blocks = [bytearray(5 << 20) for _ in range(4)]
print(libc.mallinfo2().hblks - before)
"""


@pytest.mark.parametrize(
    ("program", "printed"),
    [
        pytest.param(GIVEN_BACK, "4", id="each is given back though a larger one was freed"),
        pytest.param(KEPT, "True", id="one is kept for work that needs it again"),
        pytest.param(LIKE_BEFORE, "4", id="after that work they are given back again"),
    ],
)
def test_large_blocks(program: str, printed: str) -> None:
    said = subprocess.run([sys.executable, "-c", BEFORE + program], capture_output=True, text=True, check=True)
    assert said.stdout.split() == [printed]
