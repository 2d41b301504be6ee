"""Run a proxy: of `sessiontap run`, and of the program that `exec` starts for its own (`__main__.py`)."""

from __future__ import annotations

from collections.abc import Sequence

from sessiontap.loading import loading
from sessiontap.proxy import entry
from sessiontap.proxy.assertions import keep_needed_assertions
from sessiontap.proxy.late_modules import kept_for_later
from sessiontap.proxy.requirements import exit_with_error, unmet
from sessiontap.recording import spawn


def run(arguments: Sequence[str], *, records: bool) -> None:
    """Run the proxy until it is told to stop. `arguments` are mitmdump's own.

    The recorder's process starts first, and loading mitmproxy takes most of the rest. `records` is False if the
    arguments only make mitmdump print something.
    """
    with loading():
        if wrong := unmet():
            exit_with_error(wrong)
        replay = entry.replay_address()
        if records and (replay is None or replay.live):
            spawn.start_early()
        keep_needed_assertions()
        with kept_for_later():
            from sessiontap.proxy.runner import main

            if records:
                entry.addons()  # the rest of our modules
    main(arguments)
