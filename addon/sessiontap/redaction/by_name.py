"""Credentials that their name tells: of a header, a cookie, a query parameter, a variable, an option.

Where a name says that a value is a credential the whole value goes, whatever its shape; scheme words and the names of
cookies stay. What is left goes by shape (replacer.py). The credentials themselves are given back, too, so that they are
found wherever else the call leaves them (call_secrets.py).
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from sessiontap.redaction import call_secrets, patterns
from sessiontap.redaction.credential_names import strength
from sessiontap.redaction.replacer import SHORTEST, Replacer
from sessiontap.redaction.values import is_secret

HEADERS = frozenset(
    {
        "authorization", "proxy-authorization", "x-api-key", "api-key", "apikey", "x-goog-api-key", "x-auth",
        "helicone-auth", "helicone-posthog-key", "x-functions-key", "cookie", "set-cookie",
    }
)  # fmt: skip
HEADER_ENDS = (
    "-token", "_token", "-api-key", "_api_key", "-apikey", "-secret", "-secret-key", "-access-key", "-auth-key",
    "-subscription-key", "-password", "-authorization", "-credential", "-credentials", "-jwt",
)  # fmt: skip
"""Endings of the names of headers that hold credentials: the vendors' own ones."""
NAMED = re.compile(
    r"(?:api|access|secret|private|subscription|account|auth|master|signing|encryption)[_.-]?key(?:[_.-]?id)?$"
    r"|(?:^|[_.-])(?:token|secret|password|passwd|passphrase|credentials?|pat|jwt|cookie|authorization|auth)$"
    r"|(?:Token|Secret|Password)$|(?:access|refresh|auth|id|bot)token$|^apikey$|clientsecret$",
    re.IGNORECASE,
)
"""A credential's name elsewhere: searched for in it."""
_SURE = ("password", "key")


def names_credential(name: str) -> bool:
    """A variable, an option or a property of this name holds a credential."""
    return NAMED.search(name) is not None or strength(name) in _SURE


def given_credential(name: str, value: str) -> bool:
    """A variable whose name may be a credential's (`MAILGUN_KEY`) has a value that looks like one."""
    sure = strength(name)
    return sure is not None and is_secret(value.encode("utf-8", "surrogatepass"), sure, "env")


_SCHEME = re.compile(r"(Bearer|Basic|Token|Digest|ApiKey|Negotiate|GenieKey)\s+(.+)", re.IGNORECASE | re.DOTALL)
_DONE = re.compile(r"\[redacted:[\w.*-]{1,80}:[0-9a-f]{10}\]")
URL = re.compile(r"([a-z][a-z0-9+.-]*://)(?:([^/?#@]*)@)?([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.I | re.S)

Credentials = tuple[call_secrets.Credential, ...]
FoundCredentials = list[call_secrets.Credential]


class NameRedactor:
    """Takes out what is a credential by its name. `headers`: lower-case names of those that hold credentials."""

    def __init__(self, replacer: Replacer, headers: frozenset[str]) -> None:
        self._headers = headers
        self._text = replacer.text
        self._token = replacer.token

    def names_credential(self, header: str) -> bool:
        """A header of this lower-case name holds a credential."""
        return header in self._headers or header.endswith(HEADER_ENDS) or strength(header) in _SURE

    def header(self, name: str, value: str) -> tuple[str, Credentials]:
        """A header's value without its credentials, and these."""
        lower = name.lower()
        if "://" in value and not self.names_credential(lower):
            return self.url(value)
        found: FoundCredentials = []
        return self._header_value(lower, value, found), tuple(found)

    def _header_value(self, name: str, value: str, found: FoundCredentials) -> str:
        if name in ("cookie", "set-cookie"):
            first, *others = value.split(";")
            if name == "cookie":
                others = [self._cookie(name, other, found) for other in others]
            return ";".join([self._cookie(name, first, found), *others])
        if self.names_credential(name):
            if value.startswith("AWS4-"):
                return self._text(value)
            if scheme := _SCHEME.fullmatch(value):
                return f"{scheme[1]} {self.whole(name, scheme[2], found)}"
            return self.whole(name, value, found)
        return self._text(value)

    def url(self, url: str) -> tuple[str, Credentials]:
        """A URL without its credentials, and these."""
        found: FoundCredentials = []
        return self._url_text(url, found), tuple(found)

    def _url_text(self, url: str, found: FoundCredentials) -> str:
        parts = URL.fullmatch(url)
        if parts is None:
            path, mark, query = url.partition("?")
            return self._text(path) + (mark + self.query(query, found) if mark else "")
        scheme, user, host, path, query, fragment = parts.groups()
        if user is not None:
            name, colon, password = user.partition(":")
            user = self._text(name) + colon + (self.whole("password", password, found) if password else "")
        return (
            scheme
            + (f"{user}@" if user is not None else "")
            + self._text(host)
            + self._text(path)
            + (f"?{self.query(query, found)}" if query is not None else "")
            + (f"#{self.query(fragment, found)}" if fragment is not None else "")
        )

    def _cookie(self, header: str, pair: str, found: FoundCredentials) -> str:
        name, equals, value = pair.partition("=")
        return f"{name}={self.whole(header, value, found)}" if equals else self.whole(header, pair, found)

    def query(self, query: str, found: FoundCredentials) -> str:
        """A query, a fragment or a form; its credentials go into `found`."""
        return "&".join(self._parameter(parameter, found) for parameter in query.split("&"))

    def _parameter(self, parameter: str, found: FoundCredentials) -> str:
        name, equals, value = parameter.partition("=")
        plain = unquote_to_bytes(name).decode("utf-8", "replace").lower()
        glued = plain.translate({ord("_"): None, ord("-"): None})
        if value and (glued in patterns.QUERY_NAMES or names_credential(plain)):
            return f"{name}={self.whole(plain, value, found, unquote_to_bytes(value))}"
        return self._text(name) + equals + self._text(value)

    def whole(self, name: str, value: str, found: FoundCredentials | None = None, secret: bytes | None = None) -> str:
        """The token for a value that is a credential from end to end; its kind is its shape's, else the name's.

        It goes into `found`, too.
        """
        stripped = value.strip()
        if not stripped or _DONE.fullmatch(stripped):
            return value
        data = stripped.encode("utf-8", "surrogatepass") if secret is None else secret
        kind = re.sub(r"[^\w.-]", "-", name)[:80]
        for hit in patterns.find(data, 0, len(data), len(data)) if len(data) >= SHORTEST else ():
            if (hit.start, hit.end) == (0, len(data)):
                kind = hit.kind
                break
        if found is not None:
            found.append(call_secrets.Credential(kind, data))
        return self._token(kind, data)
