"""The file that `mitmdump -s addon/main.py` loads (mitmproxy takes no folder)."""

from sessiontap.proxy import entry

addons = entry.addons()
