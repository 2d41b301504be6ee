r"""Values that a credential's name is given in a text: `.env` files, JSON, YAML, code, command lines, prose.

Coding agents read such files all day. A search for a handful of words (`NAMES`) finds the places of names; what
follows must be a separator (`_SEPARATOR`) and a value; `names_and_values.py` tells whether both are a credential's.
Text may be JSON, and JSON within JSON: quotes and line ends are then written with backslashes, and a value ends at the
end of its own string or of the one around it, so that JSON stays JSON.

The time is linear in the text: every pattern is bounded or possessive, and the end of a run of letters is looked for
once, however many names stand in it.
"""

from __future__ import annotations

import re

from sessiontap.redaction.names_and_values import Form, is_secret, strength
from sessiontap.redaction.shape_search import CredentialHit

LONGEST = 4096
"""Bytes of a value."""
_LONGEST_NAME = 64

_NAME_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_SPACE = rb"(?:[ \t]|\\{1,7}t){0,8}+"
_ANY_SPACE = rb"(?:\s|\\{1,7}[nrt]){0,24}+"
_QUOTE = rb"(?:\\{0,63}[\"'`]|\\{1,7}u00(?:22|27))"
_TYPED = rb"(?:(?:[Ss]tr|[Ss]tring|SecretStr|bytes)(?: ?\| ?(?:None|null))?" + _SPACE + rb"=" + _SPACE + rb")?"
_SEPARATOR = re.compile(
    # NAME=value, name: value, "name": "value", ['name'] = 'value', name := value, name ?? 'value', name: str = "value"
    rb"(?P<usual>%(quote)s?\]?%(space)s(?::=|=>|={1,3}|\?=|:(?![:/])|\|\||\?\?)%(space)s%(typed)s)"
    # {"name": "NAME", "value": "..."}, - name: NAME / value: ..., <add key="NAME" value="..."/>
    rb"|(?P<item>%(quote)s?,?%(any_space)s%(quote)s?value%(quote)s?%(space)s[:=]%(space)s)"
    # define('name', 'value'), os.environ.setdefault("name", "value")
    rb"|(?P<pair>%(quote)s,%(space)s(?=%(quote)s))"
    # <name>value</name>
    rb"|(?P<element>>)(?=[^<\s]{1,512}</)"
    # a form's part (multipart/form-data)
    rb"|(?P<part>\"(?:\r?\n[A-Za-z-]{1,64}+:[^\r\n]{0,256}+){0,4}+\r?\n\r?\n)"
    # the password is value
    rb"|(?P<prose>[ \t]{1,4}+(?:is|was)(?::|[ \t]set[ \t]to)?[ \t]{1,4}+)"
    # --password value, PASSWORD 'value', setenv NAME value, login me password value
    rb"|(?P<word>[ \t]{1,4}+)" % {b"quote": _QUOTE, b"space": _SPACE, b"any_space": _ANY_SPACE, b"typed": _TYPED}
)
_OPEN = re.compile(
    rb"(?:(?:Secret(?:Str|String)?|[Ss]tr(?:ing)?|bytes|Buffer\.from)\()?"
    rb"(?:[bBrRuU]?(%(quote)s))?(?P<scheme>(?i:Bearer|Basic|Token|ApiKey)[ ]+)?" % {b"quote": _QUOTE}
)
_ESCAPED = rb"\\{1,7}(?:/|u00(?:2[BbFf]|3[Dd]|26))"
_ESCAPE = re.compile(_ESCAPED)
_BARE = re.compile(rb"(?:[^\s\"'`\\<>]|" + _ESCAPED + rb")*+")
_STOP = re.compile(rb"[\"'`\r\n]")
_NEXT_PARAMETER = re.compile(rb"[&;,|](?=[\w.%-]{1,64}+=)|&&|[;|]\Z")
_NEXT = re.compile(rb"[,;&)}\]]")
_DIGIT = re.compile(rb"[0-9]")
_BACKSLASH = ord("\\")
_SETS = re.compile(rb"(?:\b|(?<=\\[nrt]))(?:set(?:env|x| -\w{1,8})|ENV) {1,4}\Z")
_LOGIN = re.compile(rb"\blogin(?:\s|\\n){1,4}\S{1,128}?(?:\s|\\n){1,8}\Z")
_FLAG = re.compile(rb"(?:\A|[\s\"'`=(,]|\\[nt])\Z")
_CALL = re.compile(rb"\(\s{0,8}\\{0,7}[\"'`]\Z")
_WORD_BEFORE_KEY = re.compile(
    rb"\b(?:api|access|secret|private|auth|account|subscription|license|signing|encryption)\s\Z", re.IGNORECASE
)


NAMES = (
    rb"(?i:(?:key|token|secret)(?:[0-9a-rt-z_-][\w-]{0,31}|s[\w-]{1,31})?|(?:pass|pwd|auth)[\w-]{0,32}"
    rb"|(?:pat|pw)(?:[0-9_-][\w-]{0,31})?)"
    rb"(?:[\"'`\\\]:=?> \t|]|\r?\n[ \t]{0,24}value)"
)
"""An expression for RE2: the end of a name that has one of these words, with what may stand between a name and a
value. Plurals end no credential's name: replies are full of `prompt_tokens`."""
_NAME = re.compile(NAMES)
_FIRST_LETTERS = frozenset(b"kKtTpPsSaA")
_NAME_END = re.compile(rb"[\w-]{2,40}+")


class AssignedFinder:
    """Finds the values that a name is given whose word begins at places of a text; a value may run on to `reach`."""

    def __init__(self, text: bytes, reach: int) -> None:
        self.hits: list[CredentialHit] = []
        self._text = text
        self._reach = reach
        self._bare = _Bare(text, reach)
        self._end_of_name = 0

    def try_at(self, at: int) -> None:
        """Try a place, each later than the one before."""
        if at < self._end_of_name or self._text[at] not in _FIRST_LETTERS:
            return
        if (word := _NAME.match(self._text, at, self._reach)) is None:
            return
        self._end_of_name = word.end()
        name = _NAME_END.match(self._text, at, self._reach)
        if name is not None and (hit := _hit(self._text, at, name.end(), self._bare)) is not None:
            self.hits.append(hit)


class _Bare:
    """The ends of unquoted values. The end of one run of letters is looked for once."""

    def __init__(self, text: bytes, reach: int) -> None:
        self._text = text
        self.reach = reach
        self.judged = (-1, -1)
        """The value that was judged last: a name within it is a part of it."""
        self._begin = self._end = -1

    def end(self, at: int) -> int:
        """The end of the unquoted value that begins at `at`."""
        if not self._begin <= at < self._end:
            found = _BARE.match(self._text, at, self.reach)
            self._begin, self._end = at, found.end() if found else at
        return _whole_escapes(self._text, at, min(self._end, at + LONGEST))


def _hit(text: bytes, found: int, name_end: int, bare: _Bare) -> CredentialHit | None:
    if bare.judged[0] <= found < bare.judged[1]:
        return None
    name, begin = _name(text, found, name_end)
    sure = strength(name)
    if sure is None and name in ("key", "Key") and _WORD_BEFORE_KEY.search(text, max(0, begin - 16), begin):
        sure = "key"  # `API key: ...`
    if sure is None or (separator := _SEPARATOR.match(text, name_end, bare.reach)) is None:
        return None
    how = separator.lastgroup or ""
    before = text[max(0, begin - 160) : begin]
    if before.endswith(b"[redacted:") or not _fits(how, name, before, text, separator.end()):
        return None
    opened = _OPEN.match(text, separator.end(), bare.reach)
    assert opened is not None  # all of it is optional
    at = opened.end()
    direct = separator[0] == b"="
    sets = (name.isupper() or name.startswith("--")) and (direct or (how == "usual" and "_" in name))
    if opened[1] is None and not direct and b"=" in separator[0]:
        sets = False  # code
    form: Form
    if opened[1] is not None:
        form = "env" if sets else "quoted"
        stop = _closing(text, at, opened[1], min(bare.reach, at + LONGEST))
    else:
        form = "env" if sets or how in ("part", "element") else "bare"
        stop = _cut(text, at, bare.end(at), direct or form == "env")
        bare.judged = at, stop
    value = text[at:stop]
    if how == "prose" and _DIGIT.search(value) is None:
        return None
    if opened["scheme"] and opened["scheme"].lower().startswith(b"basic"):
        sure = "basic"
    if not is_secret(value, sure, form):
        return None
    return CredentialHit(at, stop, "password" if sure == "password" else "credential")


def _name(text: bytes, found: int, end: int) -> tuple[str, int]:
    """Return the name around `found`, and its beginning."""
    before = text[max(0, found - _LONGEST_NAME) : found]
    letters = len(before) - len(before.rstrip(_NAME_LETTERS))
    begin = found - letters
    if letters and text[begin - 1 : begin] == b"\\" and text[begin : begin + 1] in (b"n", b"r", b"t"):
        begin += 1  # a line end of a JSON string
    return text[begin:end].decode("latin-1"), begin


def _fits(how: str, name: str, before: bytes, text: bytes, end: int) -> bool:
    """True if the separator may stand between this name and a value."""
    if how == "pair":
        return _CALL.search(before) is not None
    if how == "word":
        if name.startswith("-"):
            return _FLAG.search(before) is not None
        if name.lower() == "password" and (text[end : end + 1] == b"'" or _LOGIN.search(before)):
            return True
        return _SETS.search(before) is not None
    return True


def _closing(text: bytes, at: int, quote: bytes, reach: int) -> int:
    r"""Return the end of a value that `quote` opened: its own quote, or the end of the string around it or of its line.

    A quote in a string within n strings is written with 2**n - 1 backslashes, one within that with more.
    """
    if quote.endswith((b"22", b"27")):
        end = text.find(quote, at, reach)
        return end if end >= 0 else _closing(text, at, b'"', reach)
    depth = len(quote) - 1
    here = at
    while (stop := _STOP.search(text, here, reach)) is not None:
        end, slashes = stop.start(), 0
        while end - slashes > at and text[end - slashes - 1] == _BACKSLASH:
            slashes += 1
        if stop[0] in b"\r\n":
            return end
        if stop[0] in (quote[-1:], b'"'):
            if slashes < depth:
                return end - slashes
            if slashes % (2 * depth + 2) == depth:
                return end - depth
        here = stop.end()
    return _whole_escapes(text, at, reach)


def _whole_escapes(text: bytes, at: int, end: int) -> int:
    """`end`, or a little before it if an escape would be cut in two."""
    cut = text.rfind(b"\\", max(at, end - 12), end)
    if cut < 0:
        return end
    while cut > at and text[cut - 1] == _BACKSLASH:
        cut -= 1
    return end if _ESCAPE.match(text, cut, end) else cut


def _cut(text: bytes, at: int, stop: int, direct: bool) -> int:
    """The end of an unquoted value: before the next parameter, without the sentence's own signs."""
    found = (_NEXT_PARAMETER if direct else _NEXT).search(text, at, stop)
    end = found.start() if found else stop
    signs = b".,;:" if direct else b".,;:)]}!?"
    while end > at and text[end - 1] in signs:
        end -= 1
    return end
