"""A shorter addon chain for mitmdump: what has nothing to do sleeps.

mitmproxy asks each of its forty-odd addons at every hook, eight times a call, which is near half of its work. Most of
them do nothing until an option of theirs is set. Those are taken out of the chain while their options have their
defaults, and put back, in their place, when one changes. Their options and commands stay known all the while.

Only in mitmdump: in mitmproxy and mitmweb a user may call for any of them at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mitmproxy import hooks
from mitmproxy.addonmanager import AddonManager
from mitmproxy.optmanager import OptManager

SLEEPERS: Mapping[str, tuple[str, ...]] = {
    "anticache": ("anticache",),
    "anticomp": ("anticomp",),
    "blocklist": ("block_list",),
    "browser": (),
    "commandhistory": (),
    "comment": (),
    "cut": (),
    "dnsresolver": ("mode",),
    "dumper": ("flow_detail", "dumper_filter"),
    "errorcheck": (),
    "export": (),
    "keepserving": ("rfile", "client_replay", "server_replay"),
    "maplocal": ("map_local",),
    "mapremote": ("map_remote",),
    "modifybody": ("modify_body",),
    "modifyheaders": ("modify_headers",),
    "proxyauth": ("proxyauth",),
    "readfilestdin": ("rfile",),
    "save": ("save_stream_file",),
    "savehar": ("hardump",),
    "stickyauth": ("stickyauth",),
    "stickycookie": ("stickycookie",),
    "stripdnshttpsrecords": ("mode",),
    "updatealtsvc": ("mode",),
    "upstreamauth": ("upstream_auth",),
}
"""An addon's name -> the options without which it does nothing; none: its work is done once the proxy runs, or is that
of its commands alone."""
_AWAKE: Mapping[str, object] = {"flow_detail": 0}
"""Values other than the option's default at which the addon has nothing to do either."""


class Chain:
    """The addon chain of a running master."""

    def __init__(self, addons: AddonManager, options: OptManager) -> None:
        self._addons, self._options = addons, options
        self._asleep: dict[str, tuple[Any, list[Any]]] = {}
        """Name -> the addon and those that stood before it."""

    def shorten(self) -> None:
        """Put to sleep what has nothing to do."""
        if self._addons.get("view") is not None:  # a user interface
            return
        full = list(self._addons.chain)
        kept = []
        for place, addon in enumerate(full):
            name = getattr(addon, "name", type(addon).__name__.lower())
            if type(addon).__module__.startswith("mitmproxy.") and name in SLEEPERS and not self._wanted(name):
                self._asleep[name] = addon, full[:place]
            else:
                kept.append(addon)
        # A new list: this may run inside a walk over the old one.
        self._addons.chain = kept

    def wake(self, updated: set[str]) -> None:
        """Put back what an updated option calls for, and tell it."""
        for name in [name for name in self._asleep if not updated.isdisjoint(SLEEPERS[name]) and self._wanted(name)]:
            addon, before = self._asleep.pop(name)
            chain = list(self._addons.chain)
            place = max((chain.index(other) + 1 for other in before if other in chain), default=0)
            chain.insert(place, addon)
            self._addons.chain = chain
            self._addons.invoke_addon_sync(addon, hooks.ConfigureHook(updated))

    def done(self) -> None:
        """The proxy ends: tell those that sleep."""
        for addon, _ in self._asleep.values():
            self._addons.invoke_addon_sync(addon, hooks.DoneHook())
        self._asleep.clear()

    def _wanted(self, name: str) -> bool:
        return any(
            option in self._options
            and self._options.has_changed(option)
            and getattr(self._options, option) != _AWAKE.get(option, _UNSET)
            for option in SLEEPERS[name]
        )


_UNSET = object()
