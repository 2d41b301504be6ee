"""The context window of the model of each turn, and the share of it that the turn's request takes.

The window is the price list's (`prices.window_of`), the input the provider's count. A model of which any call takes
more than the list says has another window, which nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sessiontap.analysis.part_costs import UNKNOWN, Terms

_Model = tuple[str | None, str | None, str | None]


def windows(calls: Sequence[Mapping[str, Any]], terms: Terms) -> dict[str, int]:
    """Return the tokens that the window of each call's model holds, by the call's id; of the known ones.

    `calls`: their `id`, `usage`, `provider` and models. Those that take more than the windows of others must be there.
    """
    exceeded: set[_Model] = set()
    found: dict[str, int] = {}
    for call in calls:
        window = terms.get(call["id"], UNKNOWN).window
        if window is None:
            continue
        found[call["id"]] = window
        if ((call["usage"] or {}).get("input") or 0) > window:
            exceeded.add(_model(call))
    if not exceeded:
        return found
    return {call["id"]: found[call["id"]] for call in calls if call["id"] in found and _model(call) not in exceeded}


def window_share(usage: Mapping[str, Any] | None, window: int | None) -> float | None:
    """Return the share of the window that the input takes, what was read from the cache and written to it included.

    None if one of both is not known.
    """
    tokens = (usage or {}).get("input")
    return None if window is None or not tokens else round(tokens / window, 6)


def _model(call: Mapping[str, Any]) -> _Model:
    return call["provider"], call["response_model"], call["request_model"]
