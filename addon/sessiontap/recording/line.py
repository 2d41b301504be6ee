"""The line that a call leaves on the proxy's terminal: no URL, no header, nothing of its content."""

from __future__ import annotations

from sessiontap.trace.record import WARM_UP, CallSeen


def call_line(seen: CallSeen) -> str:
    """One line: who, where, what came of it."""
    name = seen.session.name if seen.session else "-"
    path = seen.labels.path if seen.labels else "-"
    step = f" #{seen.session.step}" if seen.session else ""
    if WARM_UP in seen.flags:
        step = " warm-up"
    model = seen.reply.response_model if seen.reply else None
    if model is None and seen.call is not None:
        model = seen.call.asked.model
    status = str(seen.response.status) if seen.response else "-"
    how = "" if seen.outcome in ("ok", "http_error") else f" {seen.outcome}"
    took = f" {seen.duration / 1e9:.2f}s" if seen.duration is not None else ""
    usage = seen.reply.usage if seen.reply else None
    tokens = f" {_count(usage.input)}>{_count(usage.output)} tok" if usage else ""
    return printable(f"{name} {path}{step} {model or seen.host} {status}{how}{took}{tokens}")


def printable(text: str) -> str:
    """`text` with what would move a terminal's cursor or colour it taken out."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else str(tokens)
