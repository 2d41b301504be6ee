"""Text in the characters that the reader's terminal or file takes: lines of trees, arrows and dots have ASCII forms.

A locale without UTF-8 (`LANG=C`) or an encoding without a character (`PYTHONIOENCODING=latin-1`) gets those forms, and
whatever else it cannot take as an escape. Python itself writes UTF-8 under `LANG=C`, so the variables are asked, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

FORMS = {
    "├": "|",
    "└": "`",
    "│": "|",
    "─": "-",
    "┤": "|",
    "┊": ":",
    "░": ".",
    "█": "#",
    "▏": "|",
    "…": "...",
    "→": "->",
    "←": "<-",
    "µ": "u",
    "★": "*",
}
"""Each character that the commands draw with, and its form in ASCII."""
_TRANSLATED = str.maketrans(FORMS)
_DRAWN = "".join(FORMS)
_ASCII_LOCALES = ("C", "POSIX")
_SET_BY_PYTHON = ("C.UTF-8", "C.utf8", "UTF-8")
"""Values of LC_CTYPE that Python may have set itself, because LANG is C (PEP 538)."""


def takes_drawing(encoding: str | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Return True if all characters of `FORMS` can be written: by the encoding, and by what the locale says."""
    return _names_unicode(environ) and _can_encode(_DRAWN, encoding)


def shown(text: str, out: TextIO | None = None) -> str:
    """Text for people as `out` (stdout) takes it."""
    if text.isascii():
        return text
    encoding = (out or sys.stdout).encoding
    if not takes_drawing(encoding):
        text = text.translate(_TRANSLATED)
    return encodable(text, encoding)


def encodable(text: str, encoding: str | None) -> str:
    """Text whose characters beyond the encoding, such as lone surrogates, are escaped."""
    if _can_encode(text, encoding):
        return text
    return text.encode(encoding or "ascii", "backslashreplace").decode(encoding or "ascii")


def ellipsis() -> str:
    """The mark of a text that is cut."""
    return shown("…")


def _can_encode(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _names_unicode(environ: Mapping[str, str]) -> bool:
    """Return False if the locale is named, and is the one of ASCII."""
    if chosen := environ.get("LC_ALL"):
        return chosen not in _ASCII_LOCALES
    chosen = environ.get("LC_CTYPE")
    if not chosen or chosen in _SET_BY_PYTHON:
        chosen = environ.get("LANG")
    return chosen not in _ASCII_LOCALES
