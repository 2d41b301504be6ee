"""Segments rotate after 60 KB instead of 64 MiB."""

from sessiontap.trace.writer import Writer

assert Writer.__init__.__kwdefaults__ is not None
Writer.__init__.__kwdefaults__["rotate_bytes"] = 60_000
