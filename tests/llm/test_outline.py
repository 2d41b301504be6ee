"""Pieces of requests as lines."""

from typing import Any

import pytest

from sessiontap.llm.outline import outline

LONG = "This is a sentence that goes on for quite a while, as prompts do. " * 3


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        pytest.param("one\ntwo", ["one", "two"], id="a text"),
        pytest.param([{"type": "text", "text": "one\ntwo"}], ["one", "two"], id="the same as a list"),
        pytest.param({"content": [{"type": "input_text", "text": "one"}]}, ["one"], id="content"),
        pytest.param({"parts": [{"text": "one"}, {"text": "two"}]}, ["one", "two"], id="Gemini's parts"),
        pytest.param([{"text": "one", "cache_control": {"type": "ephemeral"}}], ["one"], id="a mark"),
        pytest.param([{"text": "one"}, {"cachePoint": {"type": "default"}}], ["one"], id="a mark of its own"),
        pytest.param([{"text": "one", "index": 3}], ["one", "index: 3"], id="more beside the text"),
        pytest.param(
            {"type": "tool_use", "name": "read", "input": {"path": "/x", "n": 1}},
            ["type: tool_use", "name: read", "input:", "  path: /x", "  n: 1"],
            id="a tool's use",
        ),
        pytest.param(
            {"function": {"name": "f", "arguments": '{"a": "x\\ny", "b": null}'}},
            ["function:", "  name: f", "  arguments:", "    a:", "      x", "      y", "    b: null"],
            id="arguments as text",
        ),
        pytest.param({"text": '{"a": 1}'}, ['{"a": 1}'], id="a text that is JSON stays a text"),
        pytest.param({"a": "{no JSON}"}, ["a: {no JSON}"], id="braces without JSON"),
        pytest.param({"required": ["a", "b"]}, ["required: a, b"], id="a list of words"),
        pytest.param({"of": [{"a": 1, "b": 2}, {"a": 3}]}, ["of:", "  - a: 1", "    b: 2", "  - a: 3"], id="a list"),
        pytest.param({"a": {}, "b": [], "c": "", "d": True}, ["a: {}", "b: []", 'c: ""', "d: true"], id="little"),
        pytest.param(LONG, [LONG[:65]] * 3, id="a long line, by its sentences"),
        pytest.param(None, [], id="nothing"),
    ],
)
def test_outline(value: Any, lines: list[str]) -> None:
    assert [line.rstrip() for line in outline(value)] == lines


def test_media_is_told_by_length_and_digest() -> None:
    (one,), (other,) = outline("A" * 5000), outline("data:image/png;base64," + "A" * 5000)

    assert one.startswith("[5,000 characters, sha256 ")
    assert other.startswith("[5,022 characters, sha256 ")


def test_what_is_nested_without_end_is_written_out() -> None:
    value: Any = 1
    for _ in range(200):
        value = {"a": value}

    assert outline(value)[-1].count('{"a": ') > 100
