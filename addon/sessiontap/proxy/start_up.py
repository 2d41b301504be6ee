"""What `sessiontap run` does before it loads mitmproxy, which takes most of its start."""

from __future__ import annotations

from collections.abc import Sequence

from sessiontap import own_python
from sessiontap.recording import spawn


def run(arguments: Sequence[str], *, records: bool) -> None:
    """Run the proxy until it is told to stop. `arguments` are mitmdump's own; not `records`: by them it only prints."""
    if records:
        spawn.start_early()
    with own_python.loading():
        from sessiontap.proxy.runner import main
    main(arguments)
