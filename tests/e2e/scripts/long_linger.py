"""Makes the proxy wait for long for replies whose client has gone: what ends before ends for another reason."""

from sessiontap.proxy import layers


def running() -> None:
    layers.LINGER = 1000.0
