"""Headers that may not be written where others read: in an option, in rules.yaml."""

from __future__ import annotations


def holds_credential(name: str) -> bool:
    """Return True if a header of this name holds a credential."""
    from sessiontap.redaction import Redactor  # the proxy has no use for it until a rule names a header

    return Redactor(b"").names_credential(name.lower())
