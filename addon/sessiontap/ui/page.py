"""A page: its address, its parameters, the function that answers it and the template that draws the answer; and what a
POST to its address changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec

from sessiontap.ui.errors import BadBody, BadParameter
from sessiontap.ui.reading import Reading
from sessiontap.units import UnitError, since, until

Kind = Literal["text", "integer", "choice", "flag", "time"]
Data = dict[str, Any]
Source = Literal["page", "api"]
"""Who changes something: somebody on a page, or a program."""

_IN_BRACES = re.compile(r"\{(\w+)\}")
_YES, _NO = ("", "1", "true", "yes", "on"), ("0", "false", "no", "off")
MOST_FIELDS = 100
"""Of a form."""
MOST_INTEGER = (1 << 31) - 1
"""The largest integer that a parameter takes."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter. An empty value is that of a form's empty field: it is not given."""

    name: str
    description: str
    kind: Kind = "text"
    choices: tuple[str, ...] = ()
    repeated: bool = False
    """Its value is a tuple: empty if it is not given."""
    default: Any = None
    minimum: int = 0
    """Of an integer."""
    maximum: int = MOST_INTEGER
    """Of an integer."""
    ends_day: bool = False
    """Of a time: a date stands for the end of its day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """The change that a POST to a page's address makes."""

    title: str
    description: str
    body: type[msgspec.Struct]
    """The type of its JSON. Its annotations say what is refused, and are its schema."""
    act: Callable[[Reading, Mapping[str, str], Any, Source], Data]
    """Does it, and returns the answer in JSON. It has the parameters of the path, and the body. Raises PageError, or
    TraceError if the log has no such session or call, or cannot be written."""
    schema: dict[str, Any]
    """The JSON schema of the answer."""
    of_form: Callable[[Mapping[str, str]], Any] | None = None
    """Makes the body of a form's fields. Raises PageError. None: it takes no form."""
    page_of: str = ""
    """Where a form leads if it does not say `back`: the path of a page, `/calls/{call}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of the site and its JSON twin, which is at the same path with `.json` behind it."""

    path: str
    """`/sessions/{session}/context`: what stands in braces is a parameter, percent-encoded in the address."""
    title: str
    description: str
    template: str
    """Empty: it answers in JSON alone, at its path, and has no twin."""
    data: Callable[[Reading, Mapping[str, Any]], Data]
    """Returns the JSON twin. It has all parameters, those that were not given by their default. Raises PageError, or
    TraceError if the log has no such session or call."""
    parameters: tuple[Parameter, ...] = ()
    schema: dict[str, Any] = field(default_factory=dict)
    """The JSON schema of what `data` returns."""
    action: Action | None = None
    """None: nothing can be changed here."""
    live: bool = False
    """While it is open it tells of new calls: those of its session, if its path names one, else all."""
    is_large: bool = False
    """Its answer is made of all turns of a session, which take memory: one such page is made at a time."""

    @property
    def path_parameters(self) -> tuple[str, ...]:
        """The names of the parameters in the path."""
        return tuple(_IN_BRACES.findall(self.path))


def read_parameters(page: Page, path: Mapping[str, str], query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The parameters of a request: those of its path as they are, those of its query read. Raises BadParameter."""
    known = {one.name: one for one in page.parameters}
    for name in query:
        if name not in known:
            takes = ", ".join(known) or "none"
            raise BadParameter(f"{page.title} has no parameter {name!r}", f"It takes: {takes}.")
    found = {name: _read(one, query.get(name, ())) for name, one in known.items()}
    return {**found, **path}


def without_empty(page: Page, query: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The query without the empty fields of a form."""
    flags = {one.name for one in page.parameters if one.kind == "flag"}
    left = {name: [one for one in values if one or name in flags] for name, values in query.items()}
    return {name: values for name, values in left.items() if values}


def _read(parameter: Parameter, given: Sequence[str]) -> Any:
    if parameter.kind == "flag":
        return _read_flag(parameter, given[-1]) if given else bool(parameter.default)
    values = [_read_one(parameter, one) for one in given if one != ""]
    if parameter.repeated:
        return tuple(values)
    if len(values) > 1:
        raise BadParameter(f"{parameter.name} is given {len(values)} times", "Give it once.")
    return values[0] if values else parameter.default


def _read_flag(parameter: Parameter, text: str) -> bool:
    if text.lower() not in (*_YES, *_NO):
        raise BadParameter(
            f"{parameter.name}={text!r} is neither yes nor no", f"Write {parameter.name}=1, or leave it out."
        )
    return text.lower() in _YES


def _read_one(parameter: Parameter, text: str) -> Any:
    match parameter.kind:
        case "integer":
            lowest, highest = parameter.minimum, parameter.maximum
            if re.fullmatch(r"-?[0-9]{1,10}", text) is None or not lowest <= int(text) <= highest:
                at_most = f", {highest} at most" if highest < MOST_INTEGER else ""
                message = f"Write a whole number, {lowest} or more{at_most}."
                raise BadParameter(f"{parameter.name}={text!r} is not understood", message)
            return int(text)
        case "choice":
            if text not in parameter.choices:
                raise BadParameter(
                    f"there is no {parameter.name} {text!r}", f"Choose one of {', '.join(parameter.choices)}."
                )
            return text
        case "time":
            try:
                return until(text) if parameter.ends_day else since(text)
            except UnitError as error:
                raise BadParameter(
                    f"{parameter.name}: {error.message}", f"{error.hint[:1].upper()}{error.hint[1:]}."
                ) from None
    return text


def read_json(action: Action, body: bytes) -> Any:
    """Return the JSON that was sent. Raises BadBody."""
    try:
        return msgspec.json.decode(body, type=action.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = str(error).replace("`", "")
        raise BadBody(f"the body is not understood: {message}", "/api/openapi.json describes it.") from None


def read_form(body: bytes) -> dict[str, str]:
    """The fields of a form. Raises BadBody."""
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"))
    except ValueError:
        raise BadBody("the form is not understood", "Send it from the page.") from None
