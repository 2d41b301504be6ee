"""The seed of all that tests draw at random: fixed, unless SESSIONTAP_SEED is `random` or a number."""

from __future__ import annotations

import os
import random

_given = os.environ.get("SESSIONTAP_SEED", "")

IS_FIXED = not _given
SEED = 1 if IS_FIXED else random.SystemRandom().randrange(10**6) if _given == "random" else int(_given)
if not IS_FIXED:
    os.environ["SESSIONTAP_SEED"] = str(SEED)  # the processes of this run draw the same
