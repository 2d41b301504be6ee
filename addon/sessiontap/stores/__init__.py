"""Stores in which several proxies remember their sessions together (docs/shared-sessions.md).

    address.py        the option that names a store
    connection.py     the one connection to Redis; nothing else imports its client
    redis_store.py    `SessionStore` on it: what a call asks, and what it leaves
    presence.py       whether the store is there: looked for, met, told what it does not know
    local_steps.py    the calls that got local steps, and the steps that they get for them
    counts.py         `SharedCounts` in it: the counts of alerts and limits
    *.lua             what is done in the store at once, each in one request

May import `sessions` and `limits`.
"""

from sessiontap.stores.address import StoreAddress, StoreAddressError, parse
from sessiontap.stores.connection import MISSING, is_installed
from sessiontap.stores.counts import StoreCounts
from sessiontap.stores.redis_store import RedisStore

__all__ = ["MISSING", "RedisStore", "StoreAddress", "StoreAddressError", "StoreCounts", "is_installed", "parse"]
