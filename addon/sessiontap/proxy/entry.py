"""The beginning of a proxy, before mitmproxy is loaded: of `mitmdump -s addon/main.py`, and of `sessiontap run`.

`addons` makes the one addon object, or the process ends with one sentence that says why there is none.

mitmproxy logs a script that fails to load and, at start, ends; but with a traceback. So what a user can mend is said in
words here: a Python, a mitmproxy or a package that is too old or missing, all of them at once. The object outlives a
reload of the script (mitmproxy reloads it when its file changes): its state must.
"""

# This module must be readable by the oldest Python that mitmproxy ever ran on: no new syntax, late imports.

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

OLDEST = (3, 12)
NEEDS = (
    # module, distribution, oldest version, attribute with the version that is here
    ("mitmproxy.version", "mitmproxy", (12, 2, 1), "VERSION"),
    ("yaml", "PyYAML", (6, 0, 1), "__version__"),
    ("msgpack", "msgpack", (1, 0, 8), "version"),
    ("msgspec", "msgspec", (0, 19), "__version__"),
    ("re2", "google-re2", None, None),
)
"""The packages of the proxy, as pyproject.toml has them. re2 does not say its version."""
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
    """The addon; in a replay another one."""
    replay = _replay()
    if replay is not None:
        from sessiontap.proxy.replay import ReplayTap

        return ReplayTap(replay)
    from sessiontap.proxy.tap import Tap

    return Tap()


def _replay() -> "Any":
    """The address of the replay's server; None if this proxy is none of a replay. Ends the process if it is broken."""
    from sessiontap.replay_link import VARIABLE, ReplayAddress

    try:
        return ReplayAddress.of(os.environ[VARIABLE]) if VARIABLE in os.environ else None
    except ValueError:
        return exit_with_error(VARIABLE + " is set by `sessiontap replay` alone. Unset it")


def unmet() -> "str | None":
    """A sentence with all that is too old or missing, and how to install it; None if nothing is."""
    if sys.version_info < OLDEST:
        # What is installed beside an old Python says nothing about a newer one.
        return (
            "it needs Python 3.12 or newer, and this mitmproxy runs on {}.{}. "
            "Install mitmproxy into a newer Python, or run scripts/demo, which finds one.".format(*sys.version_info)
        )
    wrong, install = [], []
    for module, distribution, oldest, attribute in NEEDS:
        try:
            found = importlib.import_module(module)
        except ImportError as error:
            wrong.append(f"the package {distribution}, which is missing ({error})")
            install.append(distribution)
            continue
        version = _version(getattr(found, attribute, None)) if attribute else None
        if oldest is not None and version is not None and version < oldest:
            needed, here = (".".join(map(str, one)) for one in (oldest, version))
            wrong.append(f"{distribution} {needed} or newer, and {here} is installed")
            install.append(f"'{distribution}>={needed}'")
    if not wrong:
        return None
    return "it needs {}. Install with: {} -m pip install {}".format("; ".join(wrong), sys.executable, " ".join(install))


def run(arguments: "Sequence[str]", *, records: bool) -> None:
    """Run the proxy until it is told to stop. `arguments` are mitmdump's own.

    The recorder's process starts first, and loading mitmproxy takes most of the rest. `records` is False if the
    arguments only make mitmdump print something.
    """
    from sessiontap.loading import loading
    from sessiontap.proxy.late_modules import kept_for_later
    from sessiontap.recording import spawn

    with loading():
        wrong = unmet()
        if wrong:
            exit_with_error(wrong)
        replay = _replay()
        if records and (replay is None or replay.live):
            spawn.start_early()
        with kept_for_later():
            from sessiontap.proxy.runner import main

            if records:
                addons()  # the rest of our modules
    main(arguments)


def _version(given: Any) -> "tuple[int, ...] | None":
    """A version as numbers; None if it says none."""
    parts = given.split(".") if isinstance(given, str) else list(given or ())
    numbers = []
    for part in parts:
        if not str(part).isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers) or None


def exit_with_error(sentence: str) -> "NoReturn":
    """Say why the proxy does not start, and end it: exit status 2."""
    print("sessiontap: " + sentence, file=sys.stderr, flush=True)
    raise SystemExit(2)
