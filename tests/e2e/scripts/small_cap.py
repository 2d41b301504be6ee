"""Lowers the cap on what is kept of a body, so that a test need not send 100 MiB."""

from sessiontap.proxy import bodies, live

CAP = 20_000

bodies.CAP = live.CAP = CAP
bodies.BodyTap.__init__.__defaults__ = (None, CAP)
