"""Makes a proxy find the hosts of the table of redirects on another machine, and other machines by their addresses.

It is loaded behind `redirect.py`, whose table leads to this machine. SESSIONTAP_TEST_UPSTREAM: that machine's address.
"""

import asyncio
import ipaddress
import os
from asyncio import streams

from sessiontap.demo import redirect

TABLE = redirect.parse_table(os.environ[redirect.VARIABLE])
UPSTREAM = os.environ["SESSIONTAP_TEST_UPSTREAM"]


async def open_connection(host, port, **options):
    try:
        ipaddress.ip_address(host)
    except ValueError:
        host, port = UPSTREAM, redirect.destination(host, port, TABLE)[1]
    return await streams.open_connection(host, port, **options)


asyncio.open_connection = open_connection
