"""Makes one function of the addon raise from the moment that the proxy runs: `BREAK=sessiontap.proxy.plan:decide`.

The kind of fault is in `BREAK_WITH`: a RuntimeError, or what a full disk says.
"""

import errno
import importlib
import os
import sys


def running() -> None:
    module, _, path = os.environ["BREAK"].partition(":")
    *owners, name = path.split(".")
    owner = importlib.import_module(module)
    for word in owners:
        owner = getattr(owner, word)

    def broken(*_: object, **__: object) -> None:
        if os.environ.get("BREAK_WITH") == "ENOSPC":
            raise OSError(errno.ENOSPC, "No space left on device")
        raise RuntimeError("broken on purpose")

    assert hasattr(owner, name)
    setattr(owner, name, broken)
    print("BROKEN", os.environ["BREAK"], file=sys.stderr, flush=True)
