r"""Known shapes of credentials, as tables, and the search for them in text of any size.

Each shape hangs on one byte of its fixed beginning (`sk-` on the `-`). The regular-expression engine looks for a
pattern that begins with a literal byte at four gigabytes a second, so all shapes of one byte are one pattern: that
byte, then a look back at two letters before it, then each shape. A body without the byte costs a memchr. One
alternation of all beginnings would cost 25 ms a megabyte; these cost 4 to 6, a base64 image 3.5.

A shape begins where no letter, digit, `_`, `-` or `+` stands before it, so that no run of base64 holds one; the escapes
`\n`, `\u0026` and `%3D` end in letters and count as borders. It ends at a border too and is of sane length.
No shape's match holds a quote or half an escape: JSON stays JSON.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from sessiontap.redaction.shapes import ESCAPE, LITERALS, OTHERS, PGPASS, PREFIXES
from sessiontap.redaction.values import is_placeholder

_WORD = r"[A-Za-z0-9_-]"
_VALUE = rf"(?=[A-Za-z0-9+/_.~=%-]{{0,256}}?[0-9])(?:[A-Za-z0-9+/_.~=%-]|{ESCAPE}){{16,4096}}"
"""A value given to a credential's name in text: long, and with a digit, unlike `os.environ` or `YOUR_KEY_HERE`."""
_BASIC = r"(?=[A-Za-z+/]{0,256}[0-9])(?=[a-z0-9+/]{0,256}[A-Z])[A-Za-z0-9+/]{16,1024}={0,2}(?![\w-])"
_COOKIES = r"[\w.-]{1,64}=[^\s\"'\\;<>]{12,4096}(?:;\s?[\w.-]{1,64}=[^\s\"'\\;<>]{0,4096}){0,32}"
_FORM = r"(?=[\w.~%+/=-]*(?:&|\Z))"
"""The text is a form (application/x-www-form-urlencoded) that begins with this parameter."""
_QUERY_VALUE = r"[^&\s\"'#<>\\\[\]`|]{6,4096}"

# Names of query parameters whose value is a credential (lower case, without `_` and `-`)
QUERY_NAMES = frozenset(
    {
        "key", "apikey", "token", "accesstoken", "refreshtoken", "idtoken", "authtoken", "sessiontoken", "sig",
        "signature", "secret", "clientsecret", "password", "passwd", "pwd", "auth", "authorization", "code",
        "xamzsignature", "xamzcredential", "xamzsecuritytoken", "xgoogsignature", "xgoogcredential", "accesskey",
        "secretkey", "subscriptionkey", "ocpapimsubscriptionkey", "awsaccesskeyid", "jwt", "assertion", "credential",
    }
)  # fmt: skip
_QUERY_IN_TEXT = (
    "key", "sig", "token", "api_key", "apikey", "api-key", "access_token", "secret", "password", "client_secret",
    "refresh_token", "X-Amz-Signature", "X-Amz-Security-Token", "X-Goog-Signature", "Signature", "subscription-key",
)  # fmt: skip


_GATE = 3
"""Letters before an anchor that are looked at first."""
LOOK_BACK = 512
"""How far before its anchor a shape looks."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A credential in a text."""

    start: int
    end: int
    kind: str
    secret: bytes | None = None
    """The whole credential, if this is a part of it; a part whose kind is empty just goes."""
    instead: bytes = b""
    """The text in the place of a part that goes."""


@dataclass(frozen=True, slots=True)
class _Probe:
    """Every shape of one anchor. The secret is the group's span, or begins `back` bytes before it."""

    anchor: bytes
    pattern: re.Pattern[bytes]
    kinds: tuple[str, ...]
    backs: tuple[int, ...]
    whole: bool
    """A match cannot begin with a part of the text that it needs, and then be looked at again."""


def _border(head: str) -> str:
    """`head` stands just before here, and no word runs into it."""
    head = re.escape(head)
    return (
        rf"(?<={head})(?:(?<![A-Za-z0-9_+-]{head})|(?<=\\[nrtbf]{head})"
        rf"|(?<=\\u[0-9A-Fa-f]{{4}}{head})|(?<=%[0-9A-Fa-f]{{2}}{head}))"
    )


_AZURE = r"(QQJ99[A-Za-z0-9]{26})(?![A-Za-z0-9])"
"""Behind 52 letters: Azure's keys of 84 letters."""
_PEM = (
    r"(?=----BEGIN [A-Z ]{0,32}PRIVATE KEY)("
    r"----BEGIN [A-Z ]{0,32}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[A-Za-z0-9+/=:,. \r\n\t]|-(?!----)|\\[nrt/]|\\u00[0-9a-f]{2}){0,8192}"
    r"(?:-----END [A-Z ]{0,32}PRIVATE KEY(?: BLOCK)?-----)?)"
)
"""A private key in PEM, also one that JSON escapes or that ends early."""


def _probes() -> tuple[_Probe, ...]:
    heads: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    ends: dict[str, set[str]] = defaultdict(set)
    for kind, head, rest in PREFIXES:
        heads[head[-1]].append((kind, rf"(?={rest}){_border(head)}({rest})(?!{_WORD})", len(head)))
        ends[head[-1]].add(head[:-1][-_GATE:])
    probes = []
    for anchor in dict.fromkeys([*heads, *OTHERS]):
        shapes = heads[anchor]
        before = _one_of(ends[anchor], anchor) if shapes and "" not in ends[anchor] else ""
        gated = OTHERS.get(anchor, {})
        others: list[tuple[str, str, int]] = []
        if anchor == "-":
            others.append(("private-key", _PEM, 1))
        if anchor == "J":
            others.append(("azure-key", rf"(?<=[A-Za-z0-9]{{52}}J){_AZURE}", 53))
        known = [f"{before}(?:{'|'.join(pattern for _, pattern, _ in shapes)})"] if shapes else []
        gates = [f"{gate}(?:{'|'.join(pattern for _, pattern, _ in found)})" for gate, found in gated.items()]
        pattern = "|".join([*known, *(pattern for _, pattern, _ in others), *gates])
        others += (shape for found in gated.values() for shape in found)
        probes.append(_probe(anchor, pattern, [*shapes, *others], whole=anchor == "J"))
    query = "|".join(rf"(?<=[?&6]{name}=)|(?<=\A{name}=){_FORM}" for name in _QUERY_IN_TEXT)
    for anchor, kind, pattern in (
        ("B", "bearer", rf"(?=ea|as)(?:earer\s({_VALUE})|asic\s({_BASIC}))"),
        ("C", "cookie", rf"(?=ookie:)ookie:\s({_COOKIES})"),
        ("=", "credential", rf"(?<=[ygntde]=)(?:{query}|(?<=[ ,]Signature=))({_QUERY_VALUE})"),
    ):
        probes.append(_probe(anchor, pattern, [(kind, pattern, 0)] * 2))
    return tuple(probes)


def _one_of(ends: set[str], anchor: str) -> str:
    """One of these stands before the anchor: a gate that most anchors do not pass."""
    by_length: dict[int, list[str]] = defaultdict(list)
    for end in sorted(ends):
        by_length[len(end)].append(re.escape(end))
    gates = [f"(?<=(?:{'|'.join(found)}){re.escape(anchor)})" for found in by_length.values()]
    return f"(?:{'|'.join(gates)})"


def _probe(anchor: str, pattern: str, shapes: list[tuple[str, str, int]], whole: bool = False) -> _Probe:
    return _Probe(
        anchor.encode(),
        re.compile(f"{re.escape(anchor)}(?:{pattern})".encode()),
        tuple(kind for kind, _, _ in shapes),
        tuple(back for _, _, back in shapes),
        whole,
    )


PROBES = _probes()
_BY_ANCHOR = tuple((probe.anchor, probe) for probe in PROBES)
_PGPASS = PGPASS[0].encode(), re.compile("".join(PGPASS).encode())
_SENTRY = re.compile(rb"://([0-9a-f]{32})@")
"""A data source name, whose user is a key."""
_USERINFO = re.compile(rb"://[^\s/:@\"'\\<>]{0,128}:(?!\[redacted:)([^\s/@\"'\\<>]{1,256})@")
_LITERALS = tuple(
    (kind, head.encode(), re.compile(f"{re.escape(head)}{_border(head)}{rest}(?!{_WORD})".encode()))
    for kind, head, rest in LITERALS
)
_NEED = 1024
"""No shape needs to see more than this to tell that it begins, but those that are `whole`."""


def find(text: bytes, start: int, end: int, reach: int) -> Iterator[Hit]:
    """Credentials that begin in text[start:end], in no order; a match may run on to `reach`.

    What is found depends on text[start - LOOK_BACK : reach] and on whether that is where the text begins.
    """
    near = min(reach, end + _NEED)
    for anchor, probe in _BY_ANCHOR:
        if text.find(anchor, start, end) < 0:
            continue
        until = reach if probe.whole else near
        for match in probe.pattern.finditer(text, start, until):
            if match.start() >= end:
                break
            if match.end() == until < reach:
                again = probe.pattern.match(text, match.start(), reach)
                if again is None:
                    continue
                match = again
            group = match.lastindex or 1
            back = probe.backs[group - 1]
            yield Hit(match.start(group) - back, match.end(group), probe.kinds[group - 1])
    yield from _in_urls(text, start, end)
    at = text.find(_PGPASS[0], start, end)
    while at >= 0:
        if line := _PGPASS[1].match(text, at, reach):
            yield Hit(line.start(1), line.end(1), "password")
        at = text.find(_PGPASS[0], at + 1, end)
    for kind, head, pattern in _LITERALS:
        at = text.find(head, start, end)
        while at >= 0:
            if token := pattern.match(text, at, reach):
                yield Hit(token.start(), token.end(), kind)
            at = text.find(head, at + 1, end)


def _in_urls(text: bytes, start: int, end: int) -> Iterator[Hit]:
    """Passwords between `://` and an `@` in text[start:end]."""
    at = text.find(b"@", start, end)
    while at >= 0:
        scheme = text.rfind(b"://", max(0, at - 400), at)
        if scheme >= 0 and (user := _USERINFO.match(text, scheme, at + 1)):
            if not is_placeholder(user[1], "password"):
                yield Hit(user.start(1), user.end(1), "password")
        elif scheme >= 0 and (user := _SENTRY.match(text, scheme, at + 1)):
            yield Hit(user.start(1), user.end(1), "sentry-key")
        at = text.find(b"@", at + 1, end)
