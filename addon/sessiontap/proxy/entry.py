"""The one addon object of a proxy: of `mitmdump -s addon/main.py`, and of `sessiontap run`.

`addons` makes it, or the process ends with one sentence that says why there is none. It outlives a reload of the script
(mitmproxy reloads it when its file changes): its state must.
"""

# This module must be readable by the oldest Python that mitmproxy ever ran on: no new syntax, late imports.

import gc
import os
from typing import Any

from sessiontap.proxy.requirements import exit_with_error, unmet

_taps: "list[Any]" = []


def addons() -> "list[Any]":
    """The addons that mitmproxy is to run: one. Ends the process if it cannot be made."""
    if not _taps:
        wrong = unmet()
        if wrong:
            exit_with_error(wrong)
        _taps.append(_tap())
        # A hundred thousand objects that are here for good: a collection need not go through them each time, and finds
        # the connections that have ended sooner.
        gc.freeze()
    return list(_taps)


def _tap() -> "Any":
    """Return the proxy's addon: `ReplayTap` if the proxy belongs to a replay, else `Tap`."""
    replay = replay_address()
    if replay is not None:
        from sessiontap.proxy.replay import ReplayTap

        return ReplayTap(replay)
    from sessiontap.proxy.tap import Tap

    return Tap()


def replay_address() -> "Any":
    """The address of the replay's server; None if the proxy belongs to none. Ends the process if it is broken."""
    from sessiontap.replay_link import VARIABLE, ReplayAddress

    try:
        return ReplayAddress.of(os.environ[VARIABLE]) if VARIABLE in os.environ else None
    except ValueError:
        return exit_with_error(VARIABLE + " is set by `sessiontap replay` alone. Unset it")
