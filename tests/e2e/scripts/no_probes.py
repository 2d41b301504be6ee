"""Breakers that stay open: no call is a probe, however long a test takes."""

from sessiontap.gateways import breaker

breaker.FIRST_PAUSE = 3600.0
