"""The addon with segments that rotate after 60 KB instead of 64 MiB: loaded in the place of addon/main.py."""

from sessiontap.proxy import entry
from sessiontap.trace.writer import Writer

Writer.__init__.__kwdefaults__["rotate_bytes"] = 60_000

addons = entry.addons()
