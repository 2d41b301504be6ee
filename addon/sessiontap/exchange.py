"""One HTTP exchange as plain values, which every package reads and none changes.

Bodies here are decoded (no content-encoding). Header names keep the case they came in; look-ups ignore it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple
from urllib.parse import parse_qsl


class Headers:
    """Ordered header fields; names compare without case (RFC 9110, 5.1)."""

    __slots__ = ("_first", "fields")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self.fields = tuple(fields)
        self._first: dict[str, str] | None = None

    def get(self, name: str) -> str | None:
        """Return the first value of `name`, or None."""
        return self.first.get(name.lower())

    @property
    def first(self) -> Mapping[str, str]:
        """The first value of each name, by the name in lower case."""
        if self._first is None:
            self._first = {key.lower(): value for key, value in reversed(self.fields)}
        return self._first

    def all(self, name: str) -> list[str]:
        """Return every value of `name`, in order."""
        name = name.lower()
        return [value for key, value in self.fields if key.lower() == name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.fields == other.fields

    def __hash__(self) -> int:
        return hash(self.fields)

    def __repr__(self) -> str:
        return f"Headers({list(self.fields)!r})"


def in_url(host: str) -> str:
    """Return a host as a URL writes it: an IPv6 address stands in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def with_brackets(url: str, *hosts: str | None) -> str:
    """Return a recorded URL with brackets around its host, if that is one of `hosts` and an IPv6 address."""
    scheme, between, rest = url.partition("://")
    for host in hosts:
        if host and ":" in host and between and rest.startswith(host):
            return f"{scheme}://{in_url(host)}{rest[len(host) :]}"
    return url


class UrlParts(NamedTuple):
    """A URL, taken apart."""

    scheme: str
    host: str
    """Without brackets, in lower case."""
    port: int | None
    """None if the URL names no valid port."""
    target: str
    """Path and query."""

    @classmethod
    def of(cls, url: str, *hosts: str | None) -> UrlParts:
        """Take a recorded URL apart, whatever it holds; for `hosts` see `with_brackets`."""
        scheme, between, rest = with_brackets(url, *hosts).partition("://")
        if not between:
            return cls("", "", None, url if url[:1] == "/" else f"/{url}")
        ends = min((at for one in "/?#" if (at := rest.find(one)) >= 0), default=len(rest))
        authority = rest[:ends].rpartition("@")[2]
        target = rest[ends:].partition("#")[0]
        if authority.startswith("["):
            host, _, port = authority[1:].partition("]")
        else:
            host, _, port = authority.partition(":")
        port = port.removeprefix(":")
        known = port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536
        return cls(scheme, host.lower(), int(port) if known else None, target if target[:1] == "/" else f"/{target}")


@dataclass(frozen=True)
class Request:
    """A request as the app asked for it: `target` is path and query, `body` None if it is not at hand."""

    method: str
    host: str
    target: str
    headers: Headers = field(default_factory=Headers)
    body: bytes | None = None
    scheme: str = "https"
    port: int = 443

    @cached_property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @cached_property
    def query(self) -> tuple[tuple[str, str], ...]:
        """Decoded query parameters, in order."""
        asked = self.target.partition("?")[2].partition("#")[0]
        return tuple(parse_qsl(asked, keep_blank_values=True))

    @property
    def url(self) -> str:
        """The absolute URL, without the port if it is the scheme's own."""
        default = {"https": 443, "http": 80}.get(self.scheme)
        port = "" if self.port == default else f":{self.port}"
        return f"{self.scheme}://{in_url(self.host)}{port}{self.target}"


@dataclass(frozen=True)
class Response:
    """A response, whole or as far as it came (`complete` False)."""

    status: int
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    complete: bool = True
    trailers: Headers = field(default_factory=Headers)
