"""`alert:` and `limit:` of a rule: their keys, and the thresholds that they make.

Those of several rules add up: each counts the calls that its own rule matches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sessiontap.limits.threshold import MEASURES, PERS, WINDOWED, Kind, Per, Threshold
from sessiontap.rules.kinds import DURATION, WORD, Choice, Integer, Key, KeyMap, TextOf
from sessiontap.rules.node_reader import RulesReader
from sessiontap.rules.problems import BadValue, quoted

DEFAULT_PER: Mapping[Kind, Per] = {"alert": "session", "limit": "process"}
KINDS: tuple[Kind, ...] = ("alert", "limit")
DAY = 86_400
_TIMES = {"": 1, "k": 1_000, "m": 1_000_000}


def more_than_nothing(text: str) -> float:
    if re.fullmatch(r"([0-9]{1,9}(\.[0-9]{0,12})?|\.[0-9]{1,12})([eE]-[0-9])?", text) is None or not float(text):
        raise BadValue(f"{quoted(text)} is no amount", "US dollars above 0, such as 1.50")
    return float(text)


def tokens(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,9})(?:\.([0-9]{1,6}))?([kKmM]?)", text)
    count = float(f"{found[1]}.{found[2] or 0}") * _TIMES[found[3].lower()] if found else 0
    if not count or count % 1:
        raise BadValue(f"{quoted(text)} is no number of tokens", "a whole number above 0, such as 500k or 2M")
    return int(count)


def share(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{0,6})?|\.[0-9]{1,6})(%?)", text)
    value = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if not 0 < value <= 1:
        raise BadValue(f"{quoted(text)} is no share of calls", "a number above 0 and at most 1, such as 0.3")
    return value


def threshold_keys(kind: Kind) -> KeyMap:
    """The keys of an item of `alert` or `limit`."""
    return KeyMap((
        Key("calls", Integer(1), "So many calls."),
        Key("tokens", TextOf(tokens, {"type": ["string", "integer"], "pattern": r"^[0-9]+(\.[0-9]+)?[kKmM]?$"}),
            "So many tokens, read and written together.", examples=("500k",)),
        Key("cost_usd", TextOf(more_than_nothing, {"type": "number", "exclusiveMinimum": 0}),
            "US dollars, by the provider, by prices, or by the list of genai-prices.", examples=(1.5,)),
        Key("duration", DURATION, "So long since the first call, told while calls go on."),
        Key("error_rate",
            TextOf(share, {"type": ["number", "string"], "pattern": r"^[0-9]*\.?[0-9]+%?$", "exclusiveMinimum": 0}),
            "The share of the last 20 calls that failed, of 5 at least.", examples=(0.3,)),
        Key("repeats", Integer(2), "The same request, or the same tool calls, so often in a row."),
        Key("within", DURATION, "Count only so far back: a sliding window, for spikes.", examples=("10m",)),
        Key("per", Choice(PERS), f"What is counted together. Default: {DEFAULT_PER[kind]}."),
        Key("name", WORD, "A name for messages. Default: the rule's."),
    ))  # fmt: skip


def with_thresholds(given: Mapping[str, Any], label: str, path: str, reader: RulesReader) -> dict[str, Any]:
    """Return a rule's values with thresholds in place of the maps of `alert` and `limit`. Adds problems to `reader`."""
    made = dict(given)
    for kind in KINDS:
        if kind in given:
            made[kind] = tuple(_thresholds(kind, given[kind], label, path, reader))
    return made


def _thresholds(
    kind: Kind, items: tuple[Mapping[str, Any], ...], label: str, path: str, reader: RulesReader
) -> Iterator[Threshold]:
    for number, item in enumerate(items):
        at = f"{path}.{kind}[{number}]"
        at = at if at in reader.places else f"{path}.{kind}"
        per, within = item.get("per", DEFAULT_PER[kind]), item.get("within")
        given = [measure for measure in MEASURES if measure in item]
        if not given and not any(problem.path.startswith(at) for problem in reader.problems):
            reader.problem(at, BadValue("this counts nothing", "one of " + ", ".join(MEASURES)))
        if within is not None and within > DAY and per == "day":
            reader.problem(f"{at}.within", BadValue("this is longer than a day", "at most 1d per day"))
        for measure in given:
            if within is not None and measure not in WINDOWED:
                what = f"{measure} is not counted within a time"
                expected = f"an item of its own for {measure}; within is for {', '.join(WINDOWED)}"
                reader.problem(f"{at}.within", BadValue(what, expected))
            else:
                yield Threshold(kind, label, measure, item[measure], per, within, item.get("name"))
