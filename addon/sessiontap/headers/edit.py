"""One change to a message's headers, planned before it is carried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Edit:
    """`set` gives `header` the one value `new`; `remove` takes it out; `keep`, `withhold`: nothing was done."""

    action: Literal["set", "remove", "keep", "withhold"]
    header: str
    old: str | None = None
    new: str | None = None
    rule: str | None = None
    """The label of the rule that wished it, or a short reason."""
