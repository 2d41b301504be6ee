"""Which programs do not trust the proxy's certificate: their connections to a host pass undecrypted, for a while.

A program that distrusts would fail for ever if its calls were not let through, and one that does not must not lose its
capture because a handshake broke. So only a TLS alert about the certificate counts, not a connection that was closed
(a cancelled request looks like that), and only the second in a row. It expires, because a certificate can be installed
and a host be called by somebody else; a request that comes through clears it at once.

No clock and no connection is known here: times are seconds of any clock that does not go back.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from time import monotonic
from typing import Literal

IN_A_ROW = 2
"""Alerts after which a program counts as distrusting."""
EXPIRES = 600.0
"""Seconds for which it passes. After that the next alert counts alone, and doubles them."""
LONGEST = 86_400.0
"""Seconds for which it passes at most."""
CLOSED_OFTEN = 3
"""Handshakes closed in a row without an alert, after which the user is told of them."""
MOST = 4096
"""Programs and hosts that are remembered."""

# The descriptions of RFC 8446, 6.2 that a client sends about a certificate, in OpenSSL's words: `tlsv1 alert unknown
# ca`, `sslv3 alert bad certificate`, `ssl/tls alert certificate unknown`.
_ALERTS = (
    "bad certificate",
    "unsupported certificate",
    "certificate revoked",
    "certificate expired",
    "certificate unknown",
    "unknown ca",
)
_ALERT = re.compile(rf"\balert (?:{'|'.join(_ALERTS)})\b", re.IGNORECASE)
_CLOSED = re.compile(r"disconnected during the handshake|connection closed", re.IGNORECASE)

Failure = Literal["certificate", "closed", "other"]
Verdict = Literal["distrusts", "suspect", "closes", "nothing"]
"""`distrusts`: from now on it passes; `suspect`: one more alert and it does; `closes`: the user should hear of it."""


def failure_of(error: str | None) -> Failure:
    """Return the kind of a failed handshake: `error` is mitmproxy's text, which quotes OpenSSL's."""
    if error and _ALERT.search(error):
        return "certificate"
    return "closed" if not error or _CLOSED.search(error) else "other"


@dataclass(slots=True)
class _State:
    """One program and host."""

    alerts: int = 0
    """In a row."""
    last: float = 0.0
    """When the last one came."""
    until: float = 0.0
    """It passes until then."""
    span: float = EXPIRES
    """Seconds for which it passes the next time."""
    closed: int = 0
    """Handshakes closed without an alert, in a row."""


class Distrust:
    """Bounded memory of handshakes, by (who, host)."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._states: OrderedDict[tuple[str, str], _State] = OrderedDict()

    def failed(self, who: str, host: str, failure: Failure) -> Verdict:
        """Take in a failed handshake; what it means."""
        state = self._states.setdefault((who, host), _State())
        self._states.move_to_end((who, host))
        if len(self._states) > MOST:
            self._states.popitem(last=False)
        now = self._clock()
        if failure == "closed":
            state.closed += 1
            return "closes" if state.closed == CLOSED_OFTEN else "nothing"
        if failure == "other":
            return "nothing"
        if state.until:  # it has distrusted before
            state.alerts = IN_A_ROW
        elif now - state.last > EXPIRES:
            state.alerts = 1
        else:
            state.alerts += 1
        state.last = now
        if state.alerts < IN_A_ROW:
            return "suspect"
        state.until = now + state.span
        state.span = min(state.span * 2, LONGEST)
        return "distrusts"

    def passes(self, who: str, host: str) -> bool:
        """Whether its connections to the host pass undecrypted."""
        state = self._states.get((who, host))
        return state is not None and self._clock() < state.until

    def trusts(self, who: str, host: str) -> None:
        """A request came through: whatever was, it trusts."""
        if self._states:
            self._states.pop((who, host), None)


def fingerprint(ciphers: Iterable[int], extensions: Iterable[int], protocols: Iterable[bytes]) -> str:
    """Return a digest of a client's TLS library and settings, the same for each of its connections.

    Values that are drawn by lot for each connection (RFC 8701) and the order of extensions do not count.
    """
    offered = [sorted({one for one in numbers if one & 0x0F0F != 0x0A0A}) for numbers in (ciphers, extensions)]
    return blake2b(repr((offered, sorted(protocols))).encode(), digest_size=8).hexdigest()
