"""Credentials taken out of everything that is kept, before it reaches the disk.

A credential becomes `[redacted:KIND:DIGEST]`: the kind is that of its shape (shapes.py) or the name that it stood
under, the digest is keyed by a secret outside the trace folder, so that equal credentials stay recognisable as equal
and nobody can try guesses against a log.

Where a name says that a value is a credential (headers, query parameters, environment variables, options of a command
line) the whole value goes, whatever its shape. Elsewhere (bodies, paths, error texts, other headers) known shapes go,
values that a credential's name is given (`api_key=...`, `"client_secret": "..."`), and what the call's own headers and
URL show to be a credential (own.py). A stream may spread one over several events (deltas.py) or hold it in AWS's frames
(framed.py). docs/trace-format.md says what is not found.
"""

from __future__ import annotations

import copy
import hashlib
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from typing import Any
from urllib.parse import unquote_to_bytes

from sessiontap.trace import deltas, framed, own, shapes
from sessiontap.trace.errors import TraceError

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
"""What the name of a credential's header may end with: the vendors' own ones."""
_NAMED = re.compile(
    r"(?:api|access|secret|private|subscription|account|auth|master|signing|encryption)[_.-]?key(?:[_.-]?id)?$"
    r"|(?:^|[_.-])(?:token|secret|password|passwd|passphrase|credentials?|pat|jwt|cookie|authorization|auth)$"
    r"|(?:Token|Secret|Password)$|(?:access|refresh|auth|id|bot)token$|^apikey$|clientsecret$",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"(Bearer|Basic|Token|Digest|ApiKey|Negotiate|GenieKey)\s+(.+)", re.IGNORECASE | re.DOTALL)
_DONE = re.compile(r"\[redacted:[\w.*-]{1,80}:[0-9a-f]{10}\]")
_URL = re.compile(r"([a-z][a-z0-9+.-]*://)(?:([^/?#@]*)@)?([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.I | re.S)
_FLAG = re.compile(r"--?([A-Za-z][\w.-]*)(?:=(.*))?", re.DOTALL)
_ASSIGNMENT = re.compile(r"([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)
_CURL_FORMS = ("d", "data", "data-raw", "data-binary", "data-urlencode", "url-query", "F", "form", "form-string")
_FORM = re.compile(r"[\w.%-]+=[^{\[]*", re.DOTALL)
_HEADER_LINE = re.compile(r"([\w-]+):\s*(.*)", re.DOTALL)

SHORTEST = 12
"""No known shape is shorter."""
WINDOW = 1 << 14
"""Bodies are searched in such pieces."""
REACH = 1 << 14
"""How far behind a window a credential that begins in it may run."""
_WINDOWS_REMEMBERED = 4096
_REMEMBERED = 2048
"""Values of headers, URLs and short texts."""
_CALLERS = 64
"""Sets of own credentials for which a redactor is kept."""
_PAUSE_AFTER = 16
"""Windows searched in one go."""
_PAUSE = 1e-5
"""A sleep of no time at all would take the GIL back before a waiting thread wakes up."""

Own = tuple[own.Credential, ...]
Found = list[own.Credential]


class Redactor:
    """Knows what a credential is. One for a process; bodies are for one thread at a time, the rest for any.

    `key`: the secret behind the digests, at most 64 bytes. `header_names`: more headers that hold credentials.
    `patterns`: more shapes, `re:...` a regular expression, anything else a literal text; where an expression has a
    group, that is the credential. Raises TraceError for an expression that is none.
    """

    def __init__(self, key: bytes, header_names: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        self._key = key[:64]
        self._headers = HEADERS | {name.lower() for name in header_names}
        self._patterns = tuple(_compiled(pattern) for pattern in patterns)
        self._own: tuple[own.Needle, ...] = ()
        self._own_texts: tuple[str, ...] = ()
        """The ways to write them."""
        self._seen: dict[tuple[object, ...], tuple[shapes.Hit, ...]] = {}
        # An app's calls repeat nearly all of their headers, URLs and labels.
        self._kept_header = lru_cache(_REMEMBERED)(self._header)
        self._kept_url = lru_cache(_REMEMBERED)(self._url)
        self._knowing = lru_cache(_CALLERS)(self._that_knows)
        self._remember()

    def _remember(self) -> None:
        self.header = lru_cache(_REMEMBERED)(self._any_header)
        self.url = lru_cache(_REMEMBERED)(self._any_url)
        self.text = lru_cache(_REMEMBERED)(self._any_text)

    def knowing(
        self, headers: Iterable[tuple[str, str]], url: str = "", env: Mapping[str, str] | None = None
    ) -> Redactor:
        """One that also finds the credentials of these request headers, URL and environment, wherever they stand."""
        found: dict[own.Credential, None] = {}
        for name, value in headers:
            if named := self._kept_header(name, value)[1]:
                found.update(dict.fromkeys(named))
        found.update(dict.fromkeys(self._kept_url(url)[1]))
        for name, value in (env or {}).items():
            if _NAMED.search(name) and value:
                found[own.Credential(name.lower(), value.encode("utf-8", "surrogatepass"))] = None
        return self._knowing(tuple(found)) if found else self

    def _that_knows(self, credentials: Own) -> Redactor:
        known = own.needles(credentials)
        if not known:
            return self
        other = copy.copy(self)
        other._own = known
        other._own_texts = tuple(needle.text.decode("utf-8", "surrogatepass") for needle in known)
        other._remember()
        return other

    def token(self, kind: str, secret: bytes) -> str:
        """What stands for `secret`."""
        return f"[redacted:{kind}:{hashlib.blake2b(secret, digest_size=5, key=self._key).hexdigest()}]"

    def body(self, data: bytes) -> bytes:
        """A body without its credentials; JSON stays JSON, frames of an AWS event stream stay such frames.

        Goes through the body in windows, lets other threads run in between, and remembers what it found in each by
        its hash: agents send their whole history again with every call.
        """
        if len(data) < SHORTEST and not self._patterns:
            return data
        if apart := framed.take_apart(data):
            return self._frames(apart, data)
        return self._replaced(data, self._hits(data))

    def _any_header(self, name: str, value: str) -> str:
        """A header's value: whole credentials by name (scheme words and cookie names stay), else by shape."""
        return self._without_own(self._header(name, value)[0])

    def _any_url(self, url: str) -> str:
        """A URL: its password, the query parameters that are credentials by name, known shapes anywhere."""
        return self._without_own(self._url(url)[0])

    def _any_text(self, text: str) -> str:
        """A text without the credentials whose shape is known."""
        return self._without_own(self._text(text))

    def headers(self, fields: Iterable[tuple[str, str]]) -> list[list[str]]:
        return [[name, self.header(name, value)] for name, value in fields]

    def names_credential(self, header: str) -> bool:
        """A header of this lower-case name holds a credential."""
        return header in self._headers or header.endswith(HEADER_ENDS)

    def named(self, name: str, value: str) -> str:
        """A value that has a name (environment variable, property): whole where the name says credential."""
        if _NAMED.search(name) and value:
            return self._whole(name.lower(), value)
        return self.url(value) if "://" in value else self.text(value)

    def mapping(self, values: Mapping[str, str]) -> dict[str, str]:
        return {self.text(name): self.named(name, value) for name, value in values.items()}

    def argv(self, argv: Sequence[str]) -> list[str]:
        """A command line: `--api-key X`, `--token=X`, `-H 'Authorization: X'`, `NAME=X`, curl's `-u user:X`, shapes."""
        kept: list[str] = []
        flag = ""
        curl = bool(argv) and argv[0].rsplit("/", 1)[-1] in ("curl", "wget", "http", "https", "xh")
        for argument in argv:
            kept.append(self._argument(argument, flag, curl))
            match = _FLAG.fullmatch(argument)
            flag = match[1] if match and match[2] is None else ""
        return kept

    def value(self, value: Any, name: str = "") -> Any:
        """Any JSON value, by the names of its keys and by shape."""
        if isinstance(value, str):
            return self.named(name, value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item, str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, name) for item in value]
        return value

    def _argument(self, argument: str, flag: str, curl: bool) -> str:
        if flag and not argument.startswith("--"):
            if _NAMED.search(flag) or (curl and flag in ("b", "cookie", "oauth2-bearer", "pass")):
                return self._whole(flag.lower(), argument)
            if curl and flag in ("u", "user", "U", "proxy-user") and ":" in argument:
                user, _, password = argument.partition(":")
                return f"{user}:{self._whole('password', password)}"
            if curl and flag in _CURL_FORMS and _FORM.fullmatch(argument):
                return self._query(argument, [])
        if (option := _FLAG.fullmatch(argument)) and option[2] is not None:
            return argument[: option.start(2)] + self.named(option[1], option[2])
        if assignment := _ASSIGNMENT.fullmatch(argument):
            return f"{assignment[1]}={self.named(assignment[1], assignment[2])}"
        if "://" not in argument[:12] and (line := _HEADER_LINE.fullmatch(argument)):
            return argument[: line.start(2)] + self.header(line[1], line[2])
        return self.url(argument) if _URL.fullmatch(argument) else self.text(argument)

    # -- remembered, so without the call's own -------------------------------------------------------------------------

    def _text(self, text: str) -> str:
        if len(text) < SHORTEST and not self._patterns:
            return text
        data = text.encode("utf-8", "surrogatepass")
        return self._replaced(data, self._find(data)).decode("utf-8", "surrogatepass")

    def _header(self, name: str, value: str) -> tuple[str, Own]:
        lower = name.lower()
        if "://" in value and not self.names_credential(lower):
            return self._url(value)
        found: Found = []
        return self._header_value(lower, value, found), tuple(found)

    def _header_value(self, name: str, value: str, found: Found) -> str:
        if name in ("cookie", "set-cookie"):
            first, *others = value.split(";")
            if name == "cookie":
                others = [self._cookie(name, other, found) for other in others]
            return ";".join([self._cookie(name, first, found), *others])
        if self.names_credential(name):
            if value.startswith("AWS4-"):
                return self._text(value)
            if scheme := _SCHEME.fullmatch(value):
                return f"{scheme[1]} {self._whole(name, scheme[2], found)}"
            return self._whole(name, value, found)
        return self._text(value)

    def _url(self, url: str) -> tuple[str, Own]:
        found: Found = []
        return self._url_text(url, found), tuple(found)

    def _url_text(self, url: str, found: Found) -> str:
        parts = _URL.fullmatch(url)
        if parts is None:
            path, mark, query = url.partition("?")
            return self._text(path) + (mark + self._query(query, found) if mark else "")
        scheme, user, host, path, query, fragment = parts.groups()
        if user is not None:
            name, colon, password = user.partition(":")
            user = self._text(name) + colon + (self._whole("password", password, found) if password else "")
        return (
            scheme
            + (f"{user}@" if user is not None else "")
            + self._text(host)
            + self._text(path)
            + (f"?{self._query(query, found)}" if query is not None else "")
            + (f"#{self._query(fragment, found)}" if fragment is not None else "")
        )

    def _cookie(self, header: str, pair: str, found: Found) -> str:
        name, equals, value = pair.partition("=")
        return f"{name}={self._whole(header, value, found)}" if equals else self._whole(header, pair, found)

    def _query(self, query: str, found: Found) -> str:
        return "&".join(self._parameter(parameter, found) for parameter in query.split("&"))

    def _parameter(self, parameter: str, found: Found) -> str:
        name, equals, value = parameter.partition("=")
        plain = unquote_to_bytes(name).decode("utf-8", "replace").lower()
        if value and (plain.translate({ord("_"): None, ord("-"): None}) in shapes.QUERY_NAMES or _NAMED.search(plain)):
            return f"{name}={self._whole(plain, value, found, unquote_to_bytes(value))}"
        return self._text(name) + equals + self._text(value)

    def _whole(self, name: str, value: str, found: Found | None = None, secret: bytes | None = None) -> str:
        """The token for a value that is a credential from end to end; its kind is its shape's, else the name's.

        It goes into `found`, too.
        """
        stripped = value.strip()
        if not stripped or _DONE.fullmatch(stripped):
            return value
        data = stripped.encode("utf-8", "surrogatepass") if secret is None else secret
        kind = re.sub(r"[^\w.-]", "-", name)[:80]
        for hit in shapes.find(data, 0, len(data), len(data)) if len(data) >= SHORTEST else ():
            if (hit.start, hit.end) == (0, len(data)):
                kind = hit.kind
                break
        if found is not None:
            found.append(own.Credential(kind, data))
        return self.token(kind, data)

    # -- the call's own ------------------------------------------------------------------------------------------------

    def _without_own(self, text: str) -> str:
        for written in self._own_texts:
            if written in text:
                break
        else:
            return text
        data = text.encode("utf-8", "surrogatepass")
        hits = list(own.find(data, self._own, 0, len(data)))
        return self._replaced(data, hits).decode("utf-8", "surrogatepass") if hits else text

    # -- bodies --------------------------------------------------------------------------------------------------------

    def _frames(self, apart: framed.Framed, data: bytes) -> bytes:
        """An event stream: searched as if it were a JSON value a line."""
        flat = b"\n".join(apart.texts)
        hits = self._hits(flat, is_stream=True)
        if not hits:
            return data
        texts, start = [], 0
        for text in apart.texts:
            end = start + len(text)
            inside = [
                replace(
                    hit,
                    start=max(hit.start, start) - start,
                    end=min(hit.end, end) - start,
                    secret=hit.secret or flat[hit.start : hit.end],
                )
                for hit in hits
                if hit.start < end and hit.end > start
            ]
            texts.append(self._replaced(text, inside))
            start = end + 1
        return apart.put_together(texts)

    def _hits(self, data: bytes, is_stream: bool | None = None) -> list[shapes.Hit]:
        hits = list(deltas.find(data, self._find, is_stream=is_stream))
        if len(data) <= WINDOW:
            return hits + self._find(data)
        searched = 0
        for start in range(0, len(data), WINDOW):
            end = min(start + WINDOW, len(data))
            look = max(0, start - shapes.LOOK_BACK)
            # Keyed at random in each process; a digest would take five times as long.
            piece = data[look : end + REACH]
            key = self._own, start == 0, len(piece), hash(piece)
            found = self._seen.get(key)
            if found is None:
                found = tuple(_moved(hit, -start) for hit in self._find(data, start, end))
                if len(self._seen) >= _WINDOWS_REMEMBERED:
                    del self._seen[next(iter(self._seen))]
                self._seen[key] = found
                searched += 1
                if searched % _PAUSE_AFTER == 0:
                    time.sleep(_PAUSE)
            hits += [_moved(hit, start) for hit in found]
        return hits

    def _find(self, data: bytes, start: int = 0, end: int | None = None) -> list[shapes.Hit]:
        end = len(data) if end is None else end
        reach = min(end + REACH, len(data))
        hits = list(shapes.find(data, start, end, reach))
        if self._own:
            hits += own.find(data, self._own, start, end)
        for pattern in self._patterns:
            for match in pattern.finditer(data, start, reach):
                if match.start() < end and match.end() > match.start():
                    group = 1 if pattern.groups and match.group(1) else 0
                    hits.append(shapes.Hit(match.start(group), match.end(group), "custom"))
        return hits

    def _replaced(self, data: bytes, hits: list[shapes.Hit]) -> bytes:
        """`data` with a token for each hit; of two that overlap the first and longer one names the whole stretch."""
        if not hits:
            return data
        pieces: list[bytes] = []
        done = 0
        for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end)):
            if hit.start < done:
                if hit.end > done:
                    done = hit.end
                continue
            secret = data[hit.start : hit.end] if hit.secret is None else hit.secret
            pieces.append(data[done : hit.start])
            pieces.append(self.token(hit.kind, secret).encode() if hit.kind else b"")
            done = hit.end
        return b"".join(chain(pieces, (data[done:],)))


def _moved(hit: shapes.Hit, by: int) -> shapes.Hit:
    return shapes.Hit(hit.start + by, hit.end + by, hit.kind, hit.secret)


def _compiled(pattern: str) -> re.Pattern[bytes]:
    source = pattern.removeprefix("re:") if pattern.startswith("re:") else re.escape(pattern)
    try:
        return re.compile(source.encode())
    except re.error as error:
        raise TraceError(
            f"the redaction pattern {pattern!r} is no regular expression: {error}",
            "Correct it under `redact: patterns:` in the rules.",
        ) from None
