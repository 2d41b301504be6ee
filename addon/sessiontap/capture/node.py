"""Node programs: a file that Node loads before the program redirects its HTTP connections (`node.cjs`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_name("node.cjs")
PROXY = "SESSIONTAP_PROXY"
"""The proxy to which connections are redirected, as long as HTTPS_PROXY names it, too."""
OPTIONS = "NODE_OPTIONS"


def environment(proxy_url: str, environ: Mapping[str, str], file: Path = FILE) -> dict[str, str]:
    """Return the variables with which Node loads `file` before each program; the options in `environ` are kept.

    Every Node that inherits them must be able to read `file`: one that cannot does not start.
    """
    quoted = str(file).replace("\\", "\\\\").replace('"', '\\"')
    ours = f'--require "{quoted}"'
    given = environ.get(OPTIONS, "")
    return {PROXY: proxy_url, OPTIONS: given if ours in given else f"{given} {ours}".strip()}
