"""The context window of the model of each turn, and the share of it that the turn's request takes.

The window is the price list's (`prices.window_of`), the input the provider's count. A model of which any call takes
more than the list says has another window, which nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sessiontap.analysis.part_costs import UNKNOWN, Terms

if TYPE_CHECKING:
    from sessiontap.trace.index.turns import Turn

_Model = tuple[str | None, str | None, str | None]


def windows(turns: Sequence[Turn], terms: Terms) -> dict[str, int]:
    """Return the tokens that the window of each turn's model holds, by the turn's call; of the known ones."""
    exceeded: set[_Model] = set()
    found: dict[str, int] = {}
    for turn in turns:
        window = terms.get(turn.call["id"], UNKNOWN).window
        if window is None:
            continue
        found[turn.call["id"]] = window
        if ((turn.call["usage"] or {}).get("input") or 0) > window:
            exceeded.add(_model(turn.call))
    if not exceeded:
        return found
    return {turn.call["id"]: found[turn.call["id"]] for turn in turns
            if turn.call["id"] in found and _model(turn.call) not in exceeded}  # fmt: skip


def window_share(usage: Mapping[str, Any] | None, window: int | None) -> float | None:
    """Return the share of the window that the input takes, what was read from the cache and written to it included.

    None if one of both is not known.
    """
    tokens = (usage or {}).get("input")
    return None if window is None or not tokens else round(tokens / window, 6)


def _model(call: Mapping[str, Any]) -> _Model:
    return call["provider"], call["response_model"], call["request_model"]
