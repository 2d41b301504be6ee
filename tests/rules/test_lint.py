from __future__ import annotations

import pytest
from tests.rules.build import load

from sessiontap.rules import lint

ADVICE = "set gateway: helicone, send: auto or send: none"

CASES = {
    "a host that does not read them": (
        "[{match: {host: api.groq.com}, session: {name: x}}]",
        [f"rule #1 sends helicone session headers to api.groq.com, which does not read them; {ADVICE}"],
    ),
    "a host that does": ("[{match: {host: oai.helicone.ai}, session: {name: x}}]", []),
    "a glob of hosts that do": ("[{match: {host: '*.helicone.ai'}, session: {name: x}}]", []),
    "any host": (
        "[{rule: all, session: {name: x}}]",
        [f"rule 'all' sends helicone session headers to any LLM host, whether it reads them or not; {ADVICE}"],
    ),
    "a large expression": (
        "[{match: {message: 're:error.{0,100}timeout'}, user: x}]",
        [
            "rule #1 has 're:error.{0,100}timeout', which is large: a text made for it takes up to a second; "
            "smaller repetitions (.* for .{0,100}) make it quick"
        ],
    ),
    "letters beyond ASCII": (
        "[{match: {message: 're:\\bдеплой\\b'}, user: x}]",
        [
            "rule #1 has 're:\\bдеплой\\b', which has letters beyond ASCII, but \\b, \\d, \\s and \\w know "
            "those of ASCII alone"
        ],
    ),
    "an expression for everything": (
        "[{match: {model: 're:x*'}, user: x}]",
        ["rule #1 has 're:x*', which every text matches, the empty one too"],
    ),
    "an expression": ("[{match: {message: 're:ticket (?P<id>[0-9]+)'}, user: x}]", []),
    "no session": ("[{match: {host: api.groq.com}, user: x}]", []),
    "nothing is sent": ("[{session: {name: x}, send: none}]", []),
    "only where it is read": ("[{session: {name: x}, send: auto}]", []),
    "to a gateway": ("[{session: {name: x}, gateway: helicone}]", []),
    "to the gateway of all": ("[{session: {name: x}, match: {model: x}}, {gateway: helicone}]", []),
    "to a gateway that reads something else": (
        "[{session: {name: x}, gateway: helicone, send: [traceforge]}]",
        ["rule #1 sends traceforge session headers to a gateway that does not read them"],
    ),
    "never reached": (
        "[{final: true}, {user: x}]",
        ["rule #2 is never reached: rule #1 in line 1 matches every call and ends the reading"],
    ),
    "sets nothing": ("[{match: {model: x}}]", ["rule #1 sets nothing"]),
    "same name": (
        "[{rule: a, user: x}, {rule: a, user: y}]",
        ["rule 'a' has the name of an earlier rule, so explain and the trace cannot tell them apart"],
    ),
    "a prompt without a star": (
        "[{match: {prompt: deploy}, user: x}]",
        ["rule #1 matches only where the whole prompt is 'deploy'; *deploy* finds it inside"],
    ),
}

ELSEWHERE = (
    "rule #1 protects programs on this machine alone: the process of a client on another one cannot be known; "
    "match those by client or proxy_user, or say client: 127.0.0.1 if this is meant"
)
CASES |= {
    "ignored by process, among clients": (
        "[{match: {process: x}, ignore: true}, {match: {client: 10.0.0.0/8}, user: y}]",
        [ELSEWHERE],
    ),
    "not captured by process and model, among proxy users": (
        "[{match: {process: x, model: y}, capture: none}, {match: {not: {proxy_user: z}}, user: y}]",
        [ELSEWHERE],
    ),
    "ignored by process, where all is local": ("[{match: {process: x}, ignore: true}]", []),
    "by process on this machine": ("[{match: {process: x, client: 127.0.0.1}, capture: none}]", []),
    "by process or proxy user": ("[{match: [{process: x}, {proxy_user: y}], ignore: true}]", []),
    "by what is not a process": ("[{match: {not: {process: x}}, ignore: true}, {match: {proxy_user: y}, user: y}]", []),
    "labelled by process": ("[{match: {process: x}, user: y}, {match: {proxy_user: y}, user: y}]", []),
}


@pytest.mark.parametrize("name", CASES)
def test_warnings(name: str) -> None:
    rules, expected = CASES[name]
    assert lint(load(f"rules: {rules}")) == [f"rules.yaml:1: {warning}" for warning in expected]
