"""Options of well-known programs that take a password without naming it: `curl -u me:PASSWORD`, `mysql -pPASSWORD`.

For command lines as they are (command_line.py) and for those that stand in a text: shell transcripts, scripts, READMEs.
In a text an option counts if its program stands before it on the same line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sessiontap.redaction.patterns import Hit
from sessiontap.redaction.values import is_secret


class ClientOption(NamedTuple):
    """Options of some programs that take a password."""

    programs: tuple[str, ...]
    options: tuple[str, ...]
    with_user: bool
    """The value is `user:password`."""
    apart: bool = True
    """The value may be the next argument; glued to the option it always may."""


CLIENT_OPTIONS = (
    ClientOption(("curl", "wget", "http", "https", "xh", "curlie"), ("-u", "--user", "-U", "--proxy-user"), True),
    ClientOption(("http", "https", "xh"), ("-a", "--auth"), True),
    ClientOption(("mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump"), ("-p",), False, apart=False),
    ClientOption(("sshpass", "mongo", "mongosh", "mongodump", "mongorestore"), ("-p",), False),
    ClientOption(("docker login", "podman login", "helm registry login", "az login", "oc login"), ("-p",), False),
    ClientOption(("redis-cli",), ("-a",), False),
    ClientOption(("ldapsearch", "ldapmodify", "ldapadd"), ("-w",), False),
)
"""From the programs' manuals."""

_SHORT = "".join(sorted({one[1] for entry in CLIENT_OPTIONS for one in entry.options if not one.startswith("--")}))
_LONG = "|".join(sorted({one[2:] for entry in CLIENT_OPTIONS for one in entry.options if one.startswith("--")}))
_PROGRAM = re.compile(
    rb"(?:\A|[\s;&|(`\"'/]|\\[nt])("
    + "|".join(sorted({one for entry in CLIENT_OPTIONS for one in entry.programs}, key=len, reverse=True)).encode()
    + rb")(?=[\s\"'\\])"
)
_OPTION = re.compile(
    (
        rf"-(?=[{_SHORT}]|-(?:{_LONG}))(?:(?<=[\s\"'`,]-)|(?<=\\[nt]-))(?P<option>[{_SHORT}]|-(?:{_LONG})(?![\w-]))"
        r"(?P<between>=|[ \t]{1,4}+|\\{0,7}[\"'],?[ \t]{1,4}(?=\\{0,7}[\"'])|)(?P<quote>\\{0,7}[\"'])?"
        r"(?P<value>[^\s\"'`\\<>|;]{3,512}+)"
    ).encode()
)
_REACH = 640
"""No option with its value is longer."""
_LINE = 320
"""How far before the option its program is looked for."""
_LINE_END = re.compile(rb"(?<!\\)\n|(?<!\\)(?:\\\\)*\\n")


def find(text: bytes, start: int, end: int, reach: int) -> Iterator[Hit]:
    """Passwords whose option begins in text[start:end]."""
    if text.find(b"-", start, end) < 0:
        return
    for match in _OPTION.finditer(text, start, min(reach, end + _REACH)):
        if match.start() >= end:
            break
        line = text[max(0, match.start() - _LINE) : match.start()]
        ends = [one.end() for one in _LINE_END.finditer(line)]
        programs = _PROGRAM.findall(line[ends[-1] if ends else 0 :])
        if not programs:
            continue
        option = b"-" + match["option"]
        entry = entry_of(programs[-1].decode(), option.decode())
        if entry is None or (match["between"] and match["between"] != b"=" and not entry.apart):
            continue
        if (hit := _password(match, entry)) is not None:
            yield hit


def entry_of(program: str, option: str) -> ClientOption | None:
    """The table's entry for an option of a program; None if there is none."""
    for entry in CLIENT_OPTIONS:
        if program in entry.programs and option in entry.options:
            return entry
    return None


def split(argv: Sequence[str], at: int) -> tuple[str, str] | None:
    """The text that stays and the password, if argv[at] is or holds the value of such an option. None: it is none."""
    programs = _programs(argv)
    argument = argv[at]
    before = argv[at - 1] if at else ""
    for program in programs:
        if (entry := entry_of(program, before)) is not None and entry.apart and not argument.startswith("-"):
            return _parts("", argument, entry)
        for option in (argument[:2], argument.partition("=")[0]):
            if option != argument and (entry := entry_of(program, option)) is not None:
                stays = option + "=" if argument.startswith(option + "=") else option
                return _parts(stays, argument[len(stays) :], entry)
    return None


def _parts(stays: str, value: str, entry: ClientOption) -> tuple[str, str] | None:
    if not entry.with_user:
        return stays, value
    user, colon, password = value.partition(":")
    return (f"{stays}{user}:", password) if colon and password else None


def _programs(argv: Sequence[str]) -> tuple[str, ...]:
    if not argv:
        return ()
    name = argv[0].rsplit("/", 1)[-1]
    return tuple(" ".join([name, *argv[1:words]]) for words in (1, 2, 3))


def _password(match: re.Match[bytes], entry: ClientOption) -> Hit | None:
    value = match["value"]
    at = match.start("value")
    if entry.with_user:
        user, colon, value = value.partition(b":")
        if not colon or value.isdigit():
            return None
        at += len(user) + 1
    if value.startswith(b"//") or not is_secret(value, "password", "env"):
        return None
    return Hit(at, at + len(value), "password")
