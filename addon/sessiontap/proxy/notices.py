"""Tell the user and the trace log what happens to calls and connections. A sentence is said once, a note each time."""

from __future__ import annotations

import logging
from typing import Any

from sessiontap.bounded_dict import BoundedDict
from sessiontap.proxy.connections import Connection
from sessiontap.proxy.distrust import CLOSED_OFTEN, EXPIRES, Verdict
from sessiontap.proxy.finish import OVER_BUDGET
from sessiontap.proxy.recorder import Recorder
from sessiontap.proxy.runtimes import needs
from sessiontap.recording.budget import DEFAULT
from sessiontap.rules import Protection

logger = logging.getLogger("sessiontap")

MOST_TOLD = 1_000
"""Sentences that are not said again."""
PROTECTED_BY = {
    "ignore": "left alone",
    "none": "not recorded",
    "metadata": "recorded without content",
    "full": "recorded",
}


class Notices:
    """The proxy's notices. For the loop alone."""

    def __init__(self) -> None:
        self.recorder: Recorder | None = None
        """Takes the notes; None before the start and after the end."""
        self.memory = DEFAULT
        """Bytes that recording may hold."""
        self.open_files: int | None = None
        """The largest number of them."""
        self._told: BoundedDict[str, bool] = BoundedDict(MOST_TOLD)

    def note(self, kind: str, text: str, **facts: Any) -> None:
        """A note in the trace log."""
        if self.recorder is not None:
            self.recorder.note(kind, text, **facts)

    def not_captured(self, connection: Connection, host: str, why: str) -> None:
        """Note a connection of an LLM host that passes undecrypted."""
        caller = connection.caller
        self.note("not_captured", why, host=host, process=caller.name if caller else None, client=connection.client_ip)

    def leads_to_page(self, host: str) -> None:
        """A client asked for a name that means this machine, and for the port of the page."""
        self.once(f"{host} leads to the page of `sessiontap ui`: its connection was ended")

    def protected(
        self, connection: Connection, host: str, protection: Protection, call: str | None = None
    ) -> None:
        """A rule that protects is applied though it is not known whether it matches: say which, and what is unknown."""
        unknown = ", ".join(protection.unknown)
        reason = connection.found.reason if any(key.startswith("process") for key in protection.unknown) else None
        verb = "is" if len(protection.unknown) == 1 else "are"
        why = f"{unknown} {verb} not known" + (f" ({reason})" if reason else "")
        done = PROTECTED_BY[protection.effect]
        rule = f"rule '{protection.rule}'" if protection.rule else "a rule"
        self.once(f"{rule} may be meant for calls of which {why}. Those calls are {done}.")
        self.note(
            "protected",
            f"{rule}, which may match: {done}, since {why}",
            rule=protection.rule,
            effect=protection.effect,
            unknown=list(protection.unknown),
            host=host,
            process=connection.caller.name if connection.caller else None,
            client=connection.client_ip,
            call=call,
        )

    def not_covered(self, connection: Connection, *, protects_by_process: bool) -> None:
        """Say once that rules that protect by the process do not hold for clients on other machines."""
        if connection.is_remote and protects_by_process:
            self.once(
                f"{connection.client_ip} is another machine, whose processes cannot be known: rules that keep a "
                "process out of the log do not cover its calls. Match them by client or proxy_user.",
                "not covered",
            )

    def distrusted(self, connection: Connection, host: str, verdict: Verdict, reason: str) -> None:
        """A client did not accept the proxy's certificate, or may not: say so, with what to do."""
        who = connection.caller.name if connection.caller else connection.client_ip
        if verdict == "closes":
            self.once(
                f"{who} has closed {CLOSED_OFTEN} connections to {host} in a row before TLS was set up. If it "
                f"fails, it may not trust the proxy's certificate. {needs(connection.caller)}."
            )
            self._handshake(connection, host, "handshakes are closed again and again")
        elif verdict == "suspect":
            self._handshake(connection, host, f"the proxy's certificate was refused, once so far: {reason}")
        else:
            self.once(
                f"{who} does not trust the proxy's certificate, so a call to {host} failed. Its calls there pass "
                f"unrecorded now, for {EXPIRES / 60:.0f} minutes or longer, or until the proxy is started again. "
                f"To see them: {needs(connection.caller)}."
            )
            self.not_captured(connection, host, f"it does not trust the proxy's certificate: {reason}")

    def _handshake(self, connection: Connection, host: str, text: str) -> None:
        """Note a handshake that failed, from which nothing follows yet."""
        caller = connection.caller
        self.note("handshake", text, host=host, process=caller.name if caller else None, client=connection.client_ip)

    def once(self, text: str, subject: str | None = None) -> bool:
        """Say `text`. False: it was said before, or something else about `subject` was."""
        if (subject or text) in self._told:
            return False
        self._told.put(subject or text, True)
        logger.warning(f"sessiontap: {text}")
        return True

    def session_store(self, text: str, is_away: bool) -> None:
        """Say and note that the store that proxies share went away, or is back."""
        (logger.warning if is_away else logger.info)(f"sessiontap: {text}")
        self.note("session_store", text)

    def no_files(self) -> None:
        """Say once that no more files can be opened."""
        text = (
            f"no more files can be opened (the limit is {self.open_files}), so connections are refused and the "
            "processes of clients stay unknown. Raise it with `ulimit -n` before the proxy is started"
        )
        if self.once(text):
            self.note("open_files", text)

    def over_budget(self) -> None:
        """Say once that bodies are cut, or a request is not read, because the memory is in use."""
        text = (
            "bodies are recorded in part, and large requests read in part, while the "
            f"{self.memory >> 20} MB of session_memory are in use. "
            f"Their calls pass unchanged; their records have the flag {OVER_BUDGET}"
        )
        if self.once(text):
            self.note("memory", text)
