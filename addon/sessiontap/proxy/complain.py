"""Why there will be no proxy, in one sentence. As old as entry.py: no new syntax."""

import sys


def complain(sentence: str) -> None:
    """Say why the proxy does not start, and end it: exit status 2."""
    print("sessiontap: " + sentence, file=sys.stderr, flush=True)
    raise SystemExit(2)
