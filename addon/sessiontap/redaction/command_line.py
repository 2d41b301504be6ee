"""Find the arguments of a command line that are credentials, or hold one by a name.

`--api-key X`, `--token=X`, `-H 'Authorization: X'`, `NAME=X`, curl's `-u user:X` and `-d token=X`. Only said here; what
becomes of each is redactor.py's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from sessiontap.redaction import client_options
from sessiontap.redaction.by_name import URL, names_credential

ArgumentKind = Literal["whole", "form", "named", "header", "url", "text"]
Argument = tuple[str, ArgumentKind, str, str]
"""The text that stays as it is, the kind of the rest, its name, the rest."""

_FLAG = re.compile(r"--?([A-Za-z][\w.-]*)(?:=(.*))?", re.DOTALL)
_ASSIGNMENT = re.compile(r"([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)
_CURL_FORMS = ("d", "data", "data-raw", "data-binary", "data-urlencode", "url-query", "F", "form", "form-string")
_FORM = re.compile(r"[\w.%-]+=[^{\[]*", re.DOTALL)
_HEADER_LINE = re.compile(r"([\w-]+):\s*(.*)", re.DOTALL)
_CLIENTS = ("curl", "wget", "http", "https", "xh")


def read(argv: Sequence[str]) -> Iterator[Argument]:
    """Each argument by what it is, in the light of the one before it."""
    flag = ""
    curl = bool(argv) and argv[0].rsplit("/", 1)[-1] in _CLIENTS
    for at, argument in enumerate(argv):
        option = _FLAG.fullmatch(argument)
        if parts := client_options.split(argv, at):
            yield parts[0], "whole", "password", parts[1]
            flag = ""
            continue
        yield _argument(argument, option, flag, curl)
        flag = option[1] if option and option[2] is None else ""


def _argument(argument: str, option: re.Match[str] | None, flag: str, curl: bool) -> Argument:
    if flag and not argument.startswith("--"):
        if names_credential(flag) or (curl and flag in ("b", "cookie", "oauth2-bearer", "pass")):
            return "", "whole", flag.lower(), argument
        if curl and flag in _CURL_FORMS and _FORM.fullmatch(argument):
            return "", "form", flag, argument
    if option and option[2] is not None:
        return argument[: option.start(2)], "named", option[1], option[2]
    if assignment := _ASSIGNMENT.fullmatch(argument):
        return f"{assignment[1]}=", "named", assignment[1], assignment[2]
    if "://" not in argument[:12] and (line := _HEADER_LINE.fullmatch(argument)):
        return argument[: line.start(2)], "header", line[1], line[2]
    return "", "url" if URL.fullmatch(argument) else "text", "", argument
