"""The recorder compresses its last segment at its end, however long that takes on a busy machine."""

from sessiontap.recording import process

process.COMPRESSING_SECONDS = 3600.0
