"""A rules file may hold anything: it is loaded within seconds, or refused in a few short lines."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessiontap.rules import RulesError, load_file, load_text
from sessiontap.rules.load import MAX_BYTES
from sessiontap.rules.problems import MOST_PROBLEMS, MOST_SHOWN

MANY = 15_000
LAUGHS = "".join(f"x{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
MAPS = "".join(f"x{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}], k{n}: v}}\n" for n in range(1, 12))


def rule(text: str) -> str:
    return f"rules:\n  - {text}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("[" * 100_000, ":1:51: this is nested more than 50 deep", id="lists in lists"),
        pytest.param("{a: " * 100_000, ":1:201: this is nested more than 50 deep", id="maps in maps"),
        pytest.param("\n".join(" " * n + "a:" for n in range(1_000)), "nested more than 50 deep", id="blocks"),
        pytest.param("- " * 100_000, "nested more than 50 deep", id="dashes"),
        pytest.param("? " * 100_000, "nested more than 50 deep", id="keys that are maps"),
        pytest.param(
            rule("{user: " + "x" * 1_000_000 + "}"), ":2:12: a text of 1,000,000 characters", id="1 MB of text"
        ),
        pytest.param(rule("{" + "x" * 900 + ": 1}"), "unknown key", id="a long key"),
        pytest.param(
            "x: &a0 [1]\n" + LAUGHS + rule("state: {a: *a11}"), "more than 200,000 values", id="aliases of aliases"
        ),
        pytest.param(
            "x: &m0 {k: v}\n" + MAPS + rule("properties: {<<: *m11}"), "more than 200,000 values", id="merged maps"
        ),
        pytest.param("rules: &a [*a]", "", id="an alias of itself"),
        pytest.param("rules: [{state: &a {b: *a}}]", "nested more than 50 deep", id="a map in itself"),
        pytest.param("rules: [{match: &a {not: *a}}]", "nested more than 50 deep", id="not, in itself"),
        pytest.param("rules: [{properties: &a {<<: *a}}]", "cannot be merged", id="a map merged into itself"),
        pytest.param(rule("session: {idle: " + "9" * 400 + "d}"), "no duration", id="an endless duration"),
        pytest.param(
            rule("session: {idle: " + "9" * 50 + "d}"), "longer than ten years", id="a duration past all clocks"
        ),
        pytest.param(rule("session: {idle: " + "9" * 5_000 + "}"), "no duration", id="a number as a duration"),
        pytest.param(rule("session: {idle: ²}"), "no duration", id="a digit that is no number"),
        pytest.param(rule("session: {max_calls: " + "9" * 5_000 + "}"), "cannot stand here", id="an endless number"),
        pytest.param("hosts: [{host: 'a.example:²'}]", "no port", id="a port that is no number"),
        pytest.param("hosts: [{host: 'a.example:" + "9" * 5_000 + "'}]", "no port", id="an endless port"),
        pytest.param(rule("state: {a: " + "9" * 400 + "}"), "too large a number", id="a number past all floats"),
        pytest.param(rule("user: '" + "${model:-" * 500 + "}" * 500 + "'"), "defaults within defaults", id="defaults"),
        pytest.param(rule("user: '${" + "a." * 40 + "('"), "is no variable", id="a name of many dots"),
        pytest.param(rule("user: '" + "${x}" * 5_000 + "'"), "unknown variable", id="unknown variables"),
        pytest.param(rule(f"match: {{model: 're:{'(' * 900}'}}"), "cannot be used", id="open brackets"),
        pytest.param(rule("match: {model: 're:(a{1000}){1000}'}"), "too large", id="a huge expression"),
        pytest.param(
            rule("match: {not: {model: [" + ", ".join(f"'re:.{{100}}{n}'" for n in range(40)) + "]}}"),
            "too large together",
            id="many large expressions",
        ),
        pytest.param(
            rule("headers: {remove: ['" + "*a?" * 3_000 + "']}"), "too long for a glob", id="a glob of headers"
        ),
        pytest.param("redact: {patterns: ['re:(a{1000}){1000}']}", "too large", id="a huge expression to redact"),
        pytest.param("redact: {patterns: ['re:x*']}", "matches an empty text", id="nothing to redact"),
        pytest.param(
            "rules:\n" + "  - {sesion: 1}\n" * MANY, "reading ended here, after 100 problems", id="many problems"
        ),
        pytest.param("rules:\n" + "  - {tags: [x]}\n" * MANY + "  - [", "no YAML", id="broken at its end"),
        pytest.param("%YAML " + "9" * 5_000 + ".1\n---\na: 1\n", "", id="an endless version"),
        pytest.param('user: "\\uD800"', "", id="half a character"),
        pytest.param("!!python/object/apply:os.system [ls]", "a list stands here", id="a call"),
        pytest.param("--- 1\n--- 2\n", "single document", id="two documents"),
    ],
)
def test_what_is_too_much_is_refused_in_a_few_words(text: str, said: str) -> None:
    started = time.process_time()
    with pytest.raises(RulesError) as caught:
        load_text(text)
    assert time.process_time() - started < 5
    error = caught.value
    assert said in str(error)
    assert len(error.problems) <= MOST_PROBLEMS
    assert all(len(line) < 1_500 for line in str(error).splitlines())
    assert len(error.short.splitlines()) <= MOST_SHOWN + 1
    assert str(error).replace("\n", "").isprintable()


def test_a_file_of_many_rules_loads_within_seconds() -> None:
    kinds = (
        "  - {{match: {{process: a{n}.py}}, session: {{name: App {n}}}}}\n",
        "  - {{match: {{model: 'a{n}*'}}, tags: [x]}}\n",
        "  - {{match: {{route: '/a{n}/*/b'}}, tags: [x]}}\n",
        "  - {{rule: r{n}, tags: [x]}}\n",
    )
    text = "rules:\n" + "".join(kinds[n % len(kinds)].format(n=n) for n in range(MANY))
    assert MAX_BYTES / 2 < len(text) < MAX_BYTES
    started = time.process_time()
    assert len(load_text(text).rules) == MANY
    assert time.process_time() - started < 20  # 2 s on a quiet machine


def test_a_file_of_very_many_rules_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules:\n" + "".join(f"  - {{match: {{process: a{n}}}, user: x}}\n" for n in range(50_000)))
    with pytest.raises(RulesError, match=r"the file has 1,988,897 bytes; expected at most 1,048,576"):
        load_file(path)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"%@`#?,.\n \t<~$0é\0\ud800"), max_size=60))
def test_any_text_is_rules_or_problems(text: str) -> None:
    with suppress(RulesError):
        load_text(text)
