"""The packages that a proxy needs, and the end of one that cannot start.

mitmproxy logs a script that fails to load and, at start, ends; but with a traceback. So what a user can mend is said in
words: a Python, a mitmproxy or a package that is too old or missing, all of them at once.
"""

# This module must be readable by the oldest Python that mitmproxy ever ran on: no new syntax, late imports.

import importlib
import sys
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


def exit_with_error(sentence: str) -> "NoReturn":
    """Say why the proxy does not start, and end it: exit status 2."""
    print("sessiontap: " + sentence, file=sys.stderr, flush=True)
    raise SystemExit(2)


def _version(given: Any) -> "tuple[int, ...] | None":
    """A version as numbers; None if it says none."""
    parts = given.split(".") if isinstance(given, str) else list(given or ())
    numbers = []
    for part in parts:
        if not str(part).isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers) or None
