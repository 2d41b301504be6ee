"""Make the one addon object for addon/main.py, or say in one sentence why there is none.

mitmproxy logs a script that fails to load and, at start, ends; but with a traceback. So what a user can mend is said in
words here. The object outlives a reload of the script (mitmproxy reloads it when its file changes): its state must.
"""

# This module must be readable by the oldest Python that mitmproxy ever ran on: no new syntax, late imports.

import sys
from typing import Any

OLDEST = (3, 12)
_taps: "list[Any]" = []
_DISTRIBUTIONS = {"yaml": "PyYAML"}


def addons() -> "list[Any]":
    """The addons that mitmproxy is to run: one. Ends the process if it cannot be made."""
    if sys.version_info < OLDEST:
        exit_with_error(
            "it needs Python 3.12 or newer, and this mitmproxy runs on {}.{}. "
            "Install mitmproxy into a newer Python, or run scripts/demo, which finds one.".format(*sys.version_info)
        )
    if not _taps:
        try:
            from sessiontap.proxy.tap import Tap
        except ImportError as error:
            if (error.name or "").startswith("sessiontap"):
                raise
            exit_with_error(
                "the package {} is missing next to mitmproxy ({}). Install it with: {} -m pip install {}".format(
                    error.name, error, sys.executable, _DISTRIBUTIONS.get(error.name or "", error.name)
                )
            )
        _taps.append(Tap())
    return list(_taps)


def exit_with_error(sentence: str) -> None:
    """Say why the proxy does not start, and end it: exit status 2."""
    print("sessiontap: " + sentence, file=sys.stderr, flush=True)
    raise SystemExit(2)
