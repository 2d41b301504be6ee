"""Credentials of command lines: the arguments of a process (`read`), and commands that stand in a text
(`OptionFinder`).

A process's arguments: `--api-key X`, `--token=X`, `-H 'Authorization: X'`, `NAME=X`, curl's `-u user:X` and
`-d token=X`. `read` only says what each argument is; redactor.py says what becomes of it.

In a text (shell transcripts, scripts, READMEs) options of well-known programs are found that take a password without
naming it: `curl -u me:PASSWORD`, `mysql -pPASSWORD`. The program must stand before the option on the same line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from sessiontap.redaction.by_name import URL
from sessiontap.redaction.names_and_values import is_secret, names_credential
from sessiontap.redaction.shape_search import CredentialHit

ArgumentKind = Literal["whole", "form", "named", "header", "url", "text"]
Argument = tuple[str, ArgumentKind, str, str]
"""The text that stays as it is, the kind of the rest, its name, the rest."""


class ClientOption(NamedTuple):
    """Options of some programs that take a password."""

    programs: tuple[str, ...]
    options: tuple[str, ...]
    with_user: bool
    """The value is `user:password`."""
    apart: bool = True
    """The value may be the next argument; glued to the option it always may."""


_CLIENT_OPTIONS = (
    ClientOption(("curl", "wget", "http", "https", "xh", "curlie"), ("-u", "--user", "-U", "--proxy-user"), True),
    ClientOption(("http", "https", "xh"), ("-a", "--auth"), True),
    ClientOption(("mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump"), ("-p",), False, apart=False),
    ClientOption(("sshpass", "mongo", "mongosh", "mongodump", "mongorestore"), ("-p",), False),
    ClientOption(("docker login", "podman login", "helm registry login", "az login", "oc login"), ("-p",), False),
    ClientOption(("redis-cli",), ("-a",), False),
    ClientOption(("ldapsearch", "ldapmodify", "ldapadd"), ("-w",), False),
)
"""From the programs' manuals."""

_FLAG = re.compile(r"--?([A-Za-z][\w.-]*)(?:=(.*))?", re.DOTALL)
_ASSIGNMENT = re.compile(r"([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)
_CURL_FORMS = ("d", "data", "data-raw", "data-binary", "data-urlencode", "url-query", "F", "form", "form-string")
_FORM = re.compile(r"[\w.%-]+=[^{\[]*", re.DOTALL)
_HEADER_LINE = re.compile(r"([\w-]+):\s*(.*)", re.DOTALL)
_CLIENTS = ("curl", "wget", "http", "https", "xh")

_SHORT = "".join(sorted({one[1] for entry in _CLIENT_OPTIONS for one in entry.options if not one.startswith("--")}))
_LONG = "|".join(sorted({one[2:] for entry in _CLIENT_OPTIONS for one in entry.options if one.startswith("--")}))
_PROGRAM = re.compile(
    rb"(?:\A|[\s;&|(`\"'/]|\\[nt])("
    + "|".join(sorted({one for entry in _CLIENT_OPTIONS for one in entry.programs}, key=len, reverse=True)).encode()
    + rb")(?=[\s\"'\\])"
)
_OPTION = re.compile(
    (
        rf"-(?=[{_SHORT}]|-(?:{_LONG}))(?:(?<=[\s\"'`,]-)|(?<=\\[nt]-))(?P<option>[{_SHORT}]|-(?:{_LONG})(?![\w-]))"
        r"(?P<between>=|[ \t]{1,4}+|\\{0,7}[\"'],?[ \t]{1,4}(?=\\{0,7}[\"'])|)(?P<quote>\\{0,7}[\"'])?"
        r"(?P<value>[^\s\"'`\\<>|;]{3,512}+)"
    ).encode()
)
OPTIONS = rf"(?:\B|\\[nt])-(?:[{_SHORT}]|-(?:{_LONG}))".encode()
"""An expression for RE2: all places at which an option may begin."""
_LONGEST_OPTION = 640
"""Bytes, with its value."""
_BACKSLASH = ord("\\")
_LINE = 320
"""Bytes before the option in which its program is looked for."""
_LINE_END = re.compile(rb"(?<!\\)\n|(?<!\\)(?:\\\\)*\\n")


def read(argv: Sequence[str]) -> Iterator[Argument]:
    """Each argument by what it is, in the light of the one before it."""
    flag = ""
    curl = bool(argv) and argv[0].rsplit("/", 1)[-1] in _CLIENTS
    for at, argument in enumerate(argv):
        option = _FLAG.fullmatch(argument)
        if parts := _split(argv, at):
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


class OptionFinder:
    """Finds the passwords whose option begins at places of a text."""

    def __init__(self, text: bytes, reach: int) -> None:
        self.hits: list[CredentialHit] = []
        self._text = text
        self._reach = reach
        self._end_of_value = 0
        self._last: tuple[int, bytes | None] = (-1, None)
        """The place of the option before, and its program."""

    def try_at(self, at: int) -> None:
        """Try a place, each later than the one before."""
        if self._text[at] == _BACKSLASH:
            at += 2
        if at < self._end_of_value or self._text[at : at + 1] != b"-":
            return
        match = _OPTION.match(self._text, at, min(self._reach, at + _LONGEST_OPTION))
        if match is None:
            return
        self._end_of_value = match.end()
        if (program := self._program_before(at)) is None:
            return
        option = b"-" + match["option"]
        entry = _entry_of(program.decode(), option.decode())
        if entry is None or (match["between"] and match["between"] != b"=" and not entry.apart):
            return
        if (hit := _password(match, entry)) is not None:
            self.hits.append(hit)

    def _program_before(self, at: int) -> bytes | None:
        """Return the last program before an option on its line; None if there is none."""
        begin = max(0, self._last[0], at - _LINE)
        program = self._last[1] if begin == self._last[0] else None
        line = self._text[begin:at]
        if ends := [one.end() for one in _LINE_END.finditer(line)]:
            line, program = line[ends[-1] :], None
        if programs := _PROGRAM.findall(line):
            program = programs[-1]
        self._last = at, program
        return program


def _entry_of(program: str, option: str) -> ClientOption | None:
    """Return the table's entry for an option of a program; None if there is none."""
    for entry in _CLIENT_OPTIONS:
        if program in entry.programs and option in entry.options:
            return entry
    return None


def _split(argv: Sequence[str], at: int) -> tuple[str, str] | None:
    """The text that stays and the password, if argv[at] is or holds the value of such an option. None: it is none."""
    programs = _programs(argv)
    argument = argv[at]
    before = argv[at - 1] if at else ""
    for program in programs:
        if (entry := _entry_of(program, before)) is not None and entry.apart and not argument.startswith("-"):
            return _parts("", argument, entry)
        for option in (argument[:2], argument.partition("=")[0]):
            if option != argument and (entry := _entry_of(program, option)) is not None:
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


def _password(match: re.Match[bytes], entry: ClientOption) -> CredentialHit | None:
    value = match["value"]
    at = match.start("value")
    if entry.with_user:
        user, colon, value = value.partition(b":")
        if not colon or value.isdigit():
            return None
        at += len(user) + 1
    if value.startswith(b"//") or not is_secret(value, "password", "env"):
        return None
    return CredentialHit(at, at + len(value), "password")
