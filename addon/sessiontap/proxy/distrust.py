"""Programs that do not trust the proxy's certificate: their connections to a host pass undecrypted, for a while.

A program that distrusts would fail for ever if its calls were not let through, and one that does not must not lose its
capture because a connection ended early. The evidence, for a program and a host:

- An alert about the certificate is a refusal: TLS has words for it. One is enough, unless the program came through
  lately: then another part of it, or somebody else who runs it, may trust, and two in a row are asked for.
- Some clients look at the certificate only when the handshake is over, and then just close: those with GnuTLS, those
  that know the certificate's fingerprint, Schannel's. So two connections in a row that are closed behind the
  handshake without a byte are a refusal, too, with four provisos, each of which tells a spare connection (of a pool, a
  browser, a request that was cancelled) from one that was refused: each is closed at once; the second is opened after
  the first was closed, as it is when a call has failed; no other connection of the program to the host is open beside
  them; and none came through lately.
- A handshake that was broken off without an alert is a cancelled request as likely as not. The user is told of the
  third in a row. A program that breaks handshakes off (its calls have short time limits) will also close some behind
  them, so of such a program twice as many in a row are asked for, with none broken off between them.

What is found holds for the program's next connections, whichever process makes them. It expires, because a certificate
can be installed and a host be called by somebody else; a connection that comes through clears it at once.

No clock and no connection is known here: times are seconds of any clock that does not go back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from time import monotonic
from typing import Literal

from sessiontap.bounded_dict import BoundedDict

IN_A_ROW = 2
"""Connections closed behind the handshake after which a program counts as distrusting; alerts, if it came through."""
IN_A_ROW_OF_HASTY = 4
"""The same of a program that broke a handshake off lately."""
AT_ONCE = 2.0
"""Seconds within which a client closes a connection that it has refused."""
EXPIRES = 600.0
"""Seconds for which it passes. After that the next refusal counts alone, and doubles them. Also the time for which a
connection that came through speaks for the program."""
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
"""`distrusts`: from now on it passes; `suspect`: once more and it does; `closes`: the user should hear of it."""


def failure_of(error: str | None) -> Failure:
    """Return the kind of a failed handshake: `error` is mitmproxy's text, which quotes OpenSSL's."""
    if error and _ALERT.search(error):
        return "certificate"
    return "closed" if not error or _CLOSED.search(error) else "other"


@dataclass(slots=True)
class _State:
    """One program and host."""

    refused: int = 0
    """In a row: alerts, and connections closed behind the handshake."""
    last: float = 0.0
    """When the last one ended."""
    until: float = 0.0
    """It passes until then."""
    span: float = EXPIRES
    """Seconds for which it passes the next time."""
    closed: int = 0
    """Handshakes closed without an alert, in a row."""
    broke_off: float | None = None
    """When the last of these was."""
    trusted: float | None = None
    """When it last came through."""
    open: int = 0
    """Connections that are open."""
    beside: float | None = None
    """When a connection was last opened beside another."""


class Distrust:
    """Bounded memory of connections, by (program, host)."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._states: BoundedDict[tuple[str, str], _State] = BoundedDict(MOST)

    def passes(self, program: str, host: str) -> bool:
        """True if its connections to the host pass undecrypted."""
        state = self._states.get((program, host))
        return state is not None and self._clock() < state.until

    def begins(self, program: str, host: str) -> float:
        """A connection that will be decrypted begins. Return the time, for `ends`."""
        state, now = self._state(program, host), self._clock()
        if state.open:
            state.beside = now
        state.open += 1
        return now

    def trusts(self, program: str, host: str) -> None:
        """A connection came through: whatever was, it trusts."""
        state = self._state(program, host)
        state.refused = state.closed = 0
        state.broke_off = None
        state.until, state.span, state.trusted = 0.0, EXPIRES, self._clock()

    def failed(self, program: str, host: str, failure: Failure) -> Verdict:
        """Take in a failed handshake; what it means."""
        state = self._state(program, host)
        if failure == "closed":
            state.closed += 1
            state.refused, state.broke_off = 0, self._clock()
            return "closes" if state.closed == CLOSED_OFTEN else "nothing"
        if failure == "other":
            return "nothing"
        return self._refused(state, 1 if not self._came_through(state) else IN_A_ROW)

    def ends(self, program: str, host: str, began: float, established: float | None) -> Verdict:
        """A connection has ended. `established`: for how long its TLS stood, in which the client sent nothing; None if
        it did not stand, or the client sent something."""
        state = self._state(program, host)
        state.open = max(0, state.open - 1)
        if (
            established is None
            or established > AT_ONCE
            or state.open
            or (state.beside is not None and state.beside >= began)
            or (state.refused and began < state.last)
            or self._came_through(state)
        ):
            return "nothing"
        is_hasty = state.broke_off is not None and self._clock() - state.broke_off <= EXPIRES
        return self._refused(state, IN_A_ROW_OF_HASTY if is_hasty else IN_A_ROW)

    def _refused(self, state: _State, enough: int) -> Verdict:
        """Count a refusal; `enough` of them in a row are a verdict, and one if it has distrusted before."""
        now = self._clock()
        state.refused = state.refused + 1 if now - state.last <= EXPIRES else 1
        state.last = now
        if state.refused < enough and not state.until:
            return "suspect"
        state.until = now + state.span
        state.span = min(state.span * 2, LONGEST)
        return "distrusts"

    def _came_through(self, state: _State) -> bool:
        return state.trusted is not None and self._clock() - state.trusted <= EXPIRES

    def _state(self, program: str, host: str) -> _State:
        state = self._states.get((program, host))
        if state is None:
            state = _State()
            self._states.put((program, host), state)
        return state


def fingerprint(ciphers: Iterable[int], extensions: Iterable[int], protocols: Iterable[bytes]) -> str:
    """Return a digest of a client's TLS library and settings, the same for each of its connections.

    Values that are drawn by lot for each connection (RFC 8701) and the order of extensions do not count.
    """
    offered = [sorted({one for one in numbers if one & 0x0F0F != 0x0A0A}) for numbers in (ciphers, extensions)]
    return blake2b(repr((offered, sorted(protocols))).encode(), digest_size=8).hexdigest()
