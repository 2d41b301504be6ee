"""Node programs: a file that Node loads before the program redirects its HTTP connections (`node.cjs`)."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_name("node.cjs")
PROXY = "SESSIONTAP_PROXY"
"""The proxy to which connections are redirected, as long as HTTPS_PROXY names it, too."""
OPTIONS = "NODE_OPTIONS"


def environment(proxy_url: str, environ: Mapping[str, str], file: Path = FILE) -> dict[str, str]:
    """Return the variables with which Node loads `file` before each program; the options in `environ` are kept.

    Every Node that inherits them must be able to read `file`: one that cannot does not start. See `readable_file`.
    """
    quoted = str(file).replace("\\", "\\\\").replace('"', '\\"')
    ours = f'--require "{quoted}"'
    given = environ.get(OPTIONS, "")
    return {PROXY: proxy_url, OPTIONS: given if ours in given else f"{given} {ours}".strip()}


def readable_file(public: Path) -> Path:
    """Return a file with the same content that processes of other users can read, too.

    It is the package's own, or a copy in `public`, a folder that everybody can read. Raises OSError.
    """
    if _is_public(FILE):
        return FILE
    from hashlib import sha256  # 5 ms that a proxy's start need not wait for

    content = FILE.read_bytes()
    copy = public / f"node-{sha256(content).hexdigest()[:16]}.cjs"
    if not copy.exists():
        handle, draft = tempfile.mkstemp(dir=public, prefix=f".{copy.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(draft).chmod(0o644)
            Path(draft).replace(copy)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(draft).unlink()
            raise
    return copy


def _is_public(file: Path) -> bool:
    """True if every user can read the file, as far as modes tell."""
    if os.name != "posix":
        return True
    return bool(file.stat().st_mode & 0o004) and all(folder.stat().st_mode & 0o001 for folder in file.resolve().parents)
