"""What `mitmdump -s addon/main.py` loads (a file: mitmproxy takes no folder)."""

from sessiontap.proxy import entry

addons = entry.addons()
