"""The option that names a store: `redis://[USER@]HOST[:PORT][/DATABASE][?prefix=TEXT&timeout=DURATION]`, or a socket of
this machine: `unix://[USER@]/PATH[?database=N]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from sessiontap import units
from sessiontap.trust import is_loopback

PASSWORD_VARIABLE = "SESSIONTAP_STORE_PASSWORD"
TIMEOUT = 0.005
"""Seconds that a call waits for the store at most, unless the option says otherwise."""
_LONGEST_TIMEOUT = 1.0
_FORM = "redis://HOST:PORT/DATABASE?prefix=TEXT&timeout=5ms (rediss:// for TLS, unix:///PATH for a socket)"
_SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True, "unix": False}
"""The beginnings of an address; true if that is TLS."""


class StoreAddressError(Exception):
    """A sentence for the user."""


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where the store is, and how long a call waits for it."""

    host: str
    port: int = 6379
    database: int = 0
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    prefix: str = "sessiontap:"
    timeout: float = TIMEOUT
    """Seconds."""
    path: str | None = None
    """Of a socket of this machine, in the place of host and port."""

    @property
    def is_password_in_clear(self) -> bool:
        """The password leaves this machine without TLS."""
        is_local = self.path is not None or is_loopback(self.host)
        return self.password is not None and not self.tls and not is_local

    def __str__(self) -> str:
        """As people are told; without user and password."""
        if self.path is not None:
            return f"unix://{self.path}"
        return f"redis{'s' if self.tls else ''}://{self.host}:{self.port}/{self.database}"


def parse(option: str, environ: Mapping[str, str]) -> StoreAddress:
    """Return the store that an option names. Raises StoreAddressError, whose text never holds a password."""
    try:
        url = urlsplit(option)
        port = url.port or 6379
    except ValueError:
        raise StoreAddressError(f"it is no address of a store. Give {_FORM}.") from None
    if url.password is not None:
        raise StoreAddressError(f"a password does not belong into an option. Give it in ${PASSWORD_VARIABLE}.")
    if "sentinel" in url.scheme:
        raise StoreAddressError(
            "Sentinels are not asked. Give the address of the primary, or one that leads to it after a failover, such "
            f"as a service or a balancer: {_FORM}."
        )
    is_socket = url.scheme == "unix"
    if url.scheme not in _SCHEMES or bool(url.hostname) == is_socket:
        raise StoreAddressError(f"{option!r} is no address of a store. Give {_FORM}.")
    asked = parse_qs(url.query, keep_blank_values=True)
    database = asked.pop("database", ["0"])[-1] if is_socket else url.path.strip("/") or "0"
    if unknown := sorted(asked.keys() - {"prefix", "timeout"}):
        raise StoreAddressError(f"{unknown[0]!r} is not known. An address may have prefix and timeout: {_FORM}.")
    if not database.isdecimal():
        raise StoreAddressError(f"the database {database!r} is no number. Give {_FORM}.")
    timeout = units.seconds(asked["timeout"][-1]) if "timeout" in asked else TIMEOUT
    if timeout is None or not 0 < timeout <= _LONGEST_TIMEOUT:
        raise StoreAddressError("its timeout is not understood. Give a duration up to 1s, such as '5ms'.")
    return StoreAddress(
        url.hostname or "localhost",
        port,
        int(database),
        _SCHEMES[url.scheme],
        unquote(url.username) if url.username else None,
        environ.get(PASSWORD_VARIABLE) or None,
        asked.get("prefix", ["sessiontap"])[-1] + ":",
        timeout,
        unquote(url.path) if is_socket else None,
    )
