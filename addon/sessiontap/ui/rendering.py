"""Templates drawn with the figures of `units`, and with links that hold for any name.

What was recorded is text: everything is escaped, and a name that is not there is an error, never an empty place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from importlib.resources import files
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from sessiontap import units
from sessiontap.analysis.blocks import TITLES, block_name
from sessiontap.analysis.cache_reasons import in_words
from sessiontap.analysis.tool_runs import argument_lines
from sessiontap.plain_text import has_controls, line, safe
from sessiontap.trace.outcomes import ERRORS
from sessiontap.trace.views import STAR
from sessiontap.ui import filters
from sessiontap.ui.drawing import DRAWINGS
from sessiontap.ui.drawing.plots import LAYERS
from sessiontap.ui.page import Page
from sessiontap.ui.static_files import StaticFile
from sessiontap.ui.tree_lines import tree_lines, with_calls

TEMPLATES = str(files("sessiontap.ui").joinpath("templates"))
Given = Mapping[str, Sequence[str]]
"""The query of a request: name -> its values, as they stand in the address."""
SITE_BAR = {"/": "Sessions", "/search": "Search", "/stats": "Statistics", "/doctor": "Doctor"}
"""The pages in the bar above all, if they are there."""
SESSION_BAR = {
    "": "Overview",
    "conversation": "Conversation",
    "timeline": "Timeline",
    "context": "Context",
    "cache": "Cache",
    "tools": "Tools",
}
"""The same above the pages of a session."""
STYLED_ROLES = ("user", "assistant")
"""The roles that style.css knows."""


class LiveNews(NamedTuple):
    """The new calls that a page tells of while it is open."""

    session: str | None
    """Those of this session alone; None: all."""
    position: str | None
    """Those behind this position of the log; None: those from now on."""


class Renderer:
    """Draws the pages of `folder`."""

    def __init__(
        self, folder: str, pages: Iterable[Page], static: Callable[[], Mapping[str, StaticFile]], form_token: str
    ) -> None:
        """`form_token`: what each form that changes something brings."""
        self._jinja = _environment(folder)
        paths = {page.path for page in pages}
        self._jinja.globals |= {
            "link": link,
            "form_token": form_token,
            "tree_lines": tree_lines,
            "with_calls": with_calls,
            "has_page": paths.__contains__,
            "titles": TITLES,
            "filter_names": [one.name for one in filters.FILTERS if one.name != "all"],
            "layer_titles": LAYERS,
            "site_bar": {path: name for path, name in SITE_BAR.items() if path in paths},
            "session_bar": {end: name for end, name in SESSION_BAR.items() if _session_path(end) in paths},
            "static": lambda name: static()[name].url,
        }

    def draw(
        self,
        page: Page,
        data: Mapping[str, Any],
        given: Given,
        read_share: float = 1.0,
        back: str = "/",
        position: str | None = None,
    ) -> str:
        """The HTML of a page. Beside its data a template has `page`, and `given` and `here` of the request.

        `read_share`: the share of the log that the data are of, which the page says if it is not 1. `back`: its own
        address, to which a form leads. `position`: how far the log had come before the data were asked for.
        """
        more = {"page": page, "given": given, "here": partial(here, given), "read_share": read_share, "back": back}
        news = LiveNews(_session_of(page, data), position) if page.live else None
        return self._jinja.get_template(page.template).render({**data, **more, "news": news})

    def draw_error(self, status: int, message: str, hint: str, news: LiveNews | None = None) -> str:
        """The HTML of a page that says what is wrong and what to do. `news`: of what it tells while it is open."""
        template = self._jinja.get_template("error.html")
        return template.render(status=status, message=message, hint=hint, given={}, read_share=1.0, news=news)


def _session_of(page: Page, data: Mapping[str, Any]) -> str | None:
    """The id of the session that a page is of; None if it is of none."""
    if "session" not in page.path_parameters:
        return None
    return str(data["session_id"] if "session_id" in data else data["session"]["id"])


def _environment(folder: str) -> Environment:
    found = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=spelled_out,
    )
    found.filters |= FILTERS | {"fold": fold}
    found.globals |= DRAWINGS
    found.tests["failed"] = is_failed
    return found


@cache
def template(name: str) -> Template:
    """A template that is no page of the site, with the same filters and drawings."""
    return _environment(TEMPLATES).get_template(name)


def _session_path(end: str) -> str:
    return f"/sessions/{{session}}/{end}" if end else "/sessions/{session}"


def link(*places: str, **query: Any) -> str:
    """`link("sessions", id, "context", turn=3)`: the address of a page of the site."""
    path = "/" + "/".join(map(_place, places))
    return path + _query(query)


def here(given: Given, **changes: Any) -> str:
    """The query of the present page with these parameters changed, or left out (None); the page's first part again."""
    kept = {name: list(values) for name, values in given.items() if name != "after"} | changes
    return _query(kept) or "?"


def _place(text: str) -> str:
    coded = quote(text, safe="")
    return coded.removesuffix(".json") + "%2Ejson" if coded.endswith(".json") else coded


def _query(parameters: Mapping[str, Any]) -> str:
    pairs: list[tuple[str, str]] = []
    for name, value in parameters.items():
        values = value if isinstance(value, list | tuple) else [value]
        pairs += [(name, _value(one)) for one in values if not (one is None or one is False or one == "")]
    return "?" + urlencode(pairs) if pairs else ""


def _value(value: Any) -> str:
    return "1" if value is True else str(value)


def short_time(iso: str | None) -> str:
    """`14:02:11` if it is of today, else `Nov 20 14:02`, or the date if it is of another year; local time."""
    if iso is None:
        return units.UNKNOWN
    then, now = datetime.fromisoformat(iso).astimezone(), datetime.now().astimezone()
    if then.date() == now.date():
        return f"{then:%H:%M:%S}"
    return (
        f"{units.short_moment(f'{then:%Y-%m-%d} 00:00:00')} {then:%H:%M}"
        if then.year == now.year
        else f"{then:%Y-%m-%d}"
    )


def short_count(number: int | None) -> str:
    """`1,234`, `12k`, `1.2M`."""
    return units.short_count(units.count(number))


def age(iso: str) -> str:
    """The time since then, as a duration."""
    return units.duration(units.elapsed(iso))


def model(call: Mapping[str, Any]) -> str:
    """The model that answered a call, else the one that was asked, or the route if it asks none."""
    route = call["route"] if call["operation"] == "other" else None
    return call["response_model"] or call["request_model"] or route or units.UNKNOWN


def is_failed(call: Mapping[str, Any]) -> bool:
    """Return True if a call counts as an error."""
    return call["outcome"] in ERRORS or bool(call["error"])


class Folded(NamedTuple):
    """A text whose end is folded away."""

    head: str
    rest: str
    """Empty if all of it is shown."""
    lines: int
    """Of the rest."""


def fold(text: str, lines: int = 12, characters: int = 1_600) -> Folded:
    """A text of which so many lines and characters are shown. What is hardly longer is not folded."""
    end = 0
    for _ in range(lines):
        found = text.find("\n", end)
        if found < 0 or found >= characters:
            end = len(text) if found < 0 else end
            break
        end = found + 1
    end = min(end or characters, characters)
    if len(text) - end < characters // 8 and text.count("\n", end) < 4:
        end = len(text)
    rest = text[end:]
    return Folded(text[:end], rest, rest.count("\n") + (not rest.endswith("\n")) if rest else 0)


def figure(number: float) -> str:
    """A score: `0.8`, `1,234`."""
    return f"{number:,}" if isinstance(number, int) else f"{number:,.6g}"


def score_value(value: Any) -> str:
    """A score's value as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return figure(value) if isinstance(value, int | float) else line(str(value))


def score_line(score: Mapping[str, Any]) -> str:
    """`helpful 0.8: It plans well. (ada, 2026-11-21 05:06:03)`; a star and a note alone in their own words."""
    name, note = score["name"], line(score["note"] or "")
    said = "note" if name is None else "★" if name == STAR else f"{line(name)} {score_value(score['value'])}"
    who = ", ".join(filter(None, (score["by"] and line(score["by"]), units.moment(score["time"]))))
    return f"{said}: {note} ({who})" if note else f"{said} ({who})"


def spelled_out(value: Any) -> Any:
    """A value as it stands on a page: whatever the place, no control character of what was recorded does."""
    return safe(value) if type(value) is str and has_controls(value) else value


def role_class(role: str) -> str:
    """The class of a message by its role, which is any text that an app sends."""
    return role if role in STYLED_ROLES else ""


def commands(text: str) -> Markup:
    """A sentence of ours, with what stands in backquotes as code."""
    pieces = (f"<code>{escape(one)}</code>" if at % 2 else escape(one) for at, one in enumerate(text.split("`")))
    return Markup("").join(map(Markup, pieces))


def percent(share: float | None) -> str:
    """`42%`, `0.4%`."""
    if share is None:
        return units.UNKNOWN
    return f"{share * 100:.0f}%" if share >= 0.1 or share == 0 else f"{share * 100:.1f}%"


FILTERS: dict[str, Callable[..., str | None]] = {
    "duration": units.duration,
    "count": units.count,
    "tokens": short_count,
    "money": units.dollars,
    "bytes": units.size,
    "time": units.moment,
    "short_time": short_time,
    "clock": units.clock,
    "plural": units.plural,
    "percent": percent,
    "commands": commands,
    "score_value": score_value,
    "score_line": score_line,
    "age": age,
    "model": model,
    "cost_parts": units.dollars_by_part,
    "estimated": units.estimated,
    "estimated_money": units.estimated_dollars,
    "reason": in_words,
    "block_name": block_name,
    "argument_lines": argument_lines,
    "spelled": safe,
    "one_line": line,
    "role_class": role_class,
}
"""Numbers and times in a template: unknown is `-`."""
