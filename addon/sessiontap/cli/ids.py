"""How much is shown of an id at least; the index says where more is needed to tell it from all others."""

from __future__ import annotations

SESSION = 8
CALL = 18
"""A UUIDv7 up to its milliseconds and 12 bits more, by which calls differ as a rule."""
