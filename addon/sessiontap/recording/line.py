"""The line that a call leaves on the proxy's terminal: no URL, no header, nothing of its content."""

from __future__ import annotations

from sessiontap.recording.decode import DecodedExchange
from sessiontap.recording.finished import FinishedCall
from sessiontap.trace.views import WARM_UP


def call_line(call: FinishedCall, exchange: DecodedExchange) -> str:
    """One line: who, where, what came of it."""
    plan, reply = call.plan, exchange.reply
    session = plan.session if plan else None
    name = session.name if session else "-"
    path = plan.labels.path if plan else "-"
    step = f" #{session.step}" if session else ""
    if WARM_UP in exchange.flags:
        step = " warm-up"
    model = reply.response_model if reply else None
    if model is None and call.call is not None:
        model = call.call.asked.model
    status = str(call.received.status) if call.received else "-"
    how = "" if exchange.outcome in ("ok", "http_error") else f" {exchange.outcome}"
    took = f" {call.duration / 1e9:.2f}s"
    usage = reply.usage if reply else None
    tokens = f" {_count(usage.input)}>{_count(usage.output)} tok" if usage else ""
    return printable(f"{name} {path}{step} {model or call.host} {status}{how}{took}{tokens}")


def printable(text: str) -> str:
    """`text` with what would move a terminal's cursor or colour it taken out."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else str(tokens)
