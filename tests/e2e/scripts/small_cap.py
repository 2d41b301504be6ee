"""Lowers the cap on what is kept of a body, so that a test need not send 32 MiB."""

from mitmproxy import ctx

CAP = 20_000


def running() -> None:
    ctx.master.addons.get("sessiontap").calls.budget.most = CAP
