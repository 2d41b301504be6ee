"""What `mitmdump -s addon/main.py` loads (a file: mitmproxy takes no folder)."""

from sessiontap.proxy.entry import load

addons = load()
