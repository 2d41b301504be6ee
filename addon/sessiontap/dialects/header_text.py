"""The text that may stand in a header: names that are tokens, values of printable ASCII.

Readers decode header bytes differently (Helicone's cloud as UTF-8, Node as Latin-1), so what we write is ASCII. A
letter that is an ASCII letter with marks loses them (`Übersicht` -> `Ubersicht`), typographic signs become plain ones,
and what then is left is percent-encoded UTF-8 (an em dash is `-`, the euro sign `%E2%82%AC`). Line breaks and tabs
become one space, other control characters and invisible ones go. A `%` of the text itself stays: nothing is decoded
from these values.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

LONGEST_TEXT = 1024
"""Characters of a name, a path, a user, a property: longer ones are cut. Servers limit all headers together."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_BREAKS = re.compile(r"\s*[\t-\r\x1c-\x1f\x85\u2028\u2029]\s*")
_INVISIBLE = {"Cc", "Cf", "Mn", "Me", "Zl", "Zp"}
_CUT_ESCAPE = re.compile(r"%[0-9A-F]?\Z")
# Letters and signs that Unicode does not decompose.
_LETTERS = "Æ=AE æ=ae Ø=O ø=o Ł=L ł=l Đ=D đ=d Ð=D ð=d Þ=Th þ=th ß=ss ẞ=SS Œ=OE œ=oe ı=i Ŋ=N ŋ=n Ŧ=T ŧ=t Ħ=H ħ=h"
_SIGNS = "‐=- ‑=- ‒=- –=- —=- ―=- −=- ‘=' ’=' ‚=' ‛=' ‹=' ›=' “=\" ”=\" „=\" ‟=\" «=\" »=\" •=* ·=. ⁄=/"
_PLAIN = dict(pair.split("=") for pair in f"{_LETTERS} {_SIGNS}".split(" "))


def is_token(name: str) -> bool:
    """True if `name` is a header field's name (RFC 9110, 5.6.2)."""
    return _TOKEN.match(name) is not None


def ascii_text(text: str) -> str:
    """`text` in printable ASCII, on one line, without space at its ends."""
    if text.isascii() and text.isprintable():
        return text.strip(" ")
    composed = unicodedata.normalize("NFC", _BREAKS.sub(" ", text))
    return "".join(map(_ascii_char, composed)).strip(" ")


def header_text(text: str) -> tuple[str, str | None]:
    """Return `text` as a header's value of at most LONGEST_TEXT characters, and why it is cut, if it is."""
    value = ascii_text(text)
    if len(value) <= LONGEST_TEXT:
        return value, None
    value, reason = cut_to(value, LONGEST_TEXT)
    return _CUT_ESCAPE.sub("", value).rstrip(" "), reason


def path_text(path: str) -> tuple[str, str | None]:
    """Return `path` as a header's value (a slash first and none at the end, no empty level), and why it is cut."""
    levels = [ascii_text(level).replace("/", "-") for level in path.split("/")]
    text, reason = header_text("/" + "/".join(level for level in levels if level))
    return text.rstrip("/ ") or "/", reason


def cut_to(text: str, longest: int) -> tuple[str, str | None]:
    """Return the first `longest` characters of `text`, and the reason why there are no more, if there are."""
    return (text, None) if len(text) <= longest else (text[:longest], f"cut to {longest:,} of {len(text):,} characters")


@lru_cache(maxsize=1024)  # properties have few names
def name_part(text: str) -> str:
    """`text` as the last part of a header's name: letters, digits, `_`, `-`; other runs become `-`. May be empty."""
    plain = "".join(_PLAIN.get(char, char) for char in unicodedata.normalize("NFKD", text))
    plain = "".join(char for char in plain if unicodedata.category(char) != "Mn")
    return re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-")[:128]


def _ascii_char(char: str) -> str:
    if char.isascii():
        return char if char.isprintable() else ""
    if char in _PLAIN:
        return _PLAIN[char]
    if char.isspace():
        return " "
    plain = "".join(
        part for part in unicodedata.normalize("NFKD", char) if unicodedata.category(part) not in _INVISIBLE
    )
    plain = "".join(_PLAIN.get(part, part) for part in plain)
    if plain.isascii() and (plain or unicodedata.category(char) in ("Cc", "Cf")):
        return plain
    # Header bytes that are no UTF-8 come as U+DC80 to U+DCFF.
    errors = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", errors))
