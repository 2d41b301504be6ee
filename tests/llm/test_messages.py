"""The same turn has one digest, however it is written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiontap.llm.families import CONTENT
from sessiontap.llm.message_pieces import (
    CallPiece,
    MediaPiece,
    ResultPiece,
    TextPiece,
    message_digest,
    plain,
    rough_digest,
    run_digest,
)

PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aWs="}}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param("  Hello\n", "Hello", id="blanks"),
        pytest.param("<system-reminder>Be brief.</system-reminder>\nHello", "Hello", id="a reminder"),
        pytest.param("a<system-reminder>1</system-reminder>b<system-reminder>2</system-reminder>c", "abc", id="two"),
        pytest.param("<environment_context>\n<cwd>/x</cwd>\n</environment_context>", "", id="nothing but surroundings"),
        pytest.param("<system-reminder>never ends", "<system-reminder>never ends", id="one that does not end"),
        pytest.param("1 < 2", "1 < 2", id="a sign"),
    ],
)
def test_plain(said: str, expected: str) -> None:
    assert plain(said) == expected


def test_many_openings_without_an_end_cost_no_more_than_their_length() -> None:
    said = "<system-reminder>" * 50_000
    assert plain(said) == said


@pytest.mark.parametrize(
    ("content", "pieces"),
    [
        pytest.param("Hello", [TextPiece("Hello")], id="a string"),
        pytest.param([{"type": "text", "text": "Hello"}], [TextPiece("Hello")], id="a part"),
        pytest.param([{"type": "input_text", "text": "Hello"}], [TextPiece("Hello")], id="a part of the Responses API"),
        pytest.param([{"text": "Hello"}], [TextPiece("Hello")], id="a part without a type"),
        pytest.param(["Hello"], [TextPiece("Hello")], id="a list of strings"),
        pytest.param(
            [{"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}],
            [TextPiece("Hello")],
            id="cached",
        ),
        pytest.param([{"type": "thinking", "thinking": "Hm", "signature": "x"}], [], id="reasoning"),
        pytest.param([{"text": "Hm", "thought": True}], [], id="Gemini's thought"),
        pytest.param([{"reasoningContent": {"reasoningText": {"text": "Hm"}}}], [], id="Bedrock's reasoning"),
        pytest.param([{"cachePoint": {"type": "default"}}], [], id="Bedrock's cache mark"),
        pytest.param([{"type": "server_tool_use", "name": "web_search"}], [], id="what the provider ran"),
        pytest.param(
            [{"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}}],
            [CallPiece("look", {"a": 1}, "t1")],
            id="Anthropic's call",
        ),
        pytest.param(
            [{"toolUse": {"toolUseId": "t1", "name": "look", "input": {"a": 1}}}],
            [CallPiece("look", {"a": 1}, "t1")],
            id="Bedrock's call",
        ),
        pytest.param(
            [{"functionCall": {"name": "look", "args": {"a": 1}}, "thoughtSignature": "x"}],
            [CallPiece("look", {"a": 1}, None)],
            id="Gemini's call",
        ),
        pytest.param(None, [], id="nothing"),
        pytest.param([None, 7, [], {}], [MediaPiece(CONTENT.pieces([{}])[0].digest)], id="nonsense"),
    ],
)
def test_pieces(content: Any, pieces: list[Any]) -> None:
    assert CONTENT.pieces(content) == pieces


def result_of(part: dict[str, Any]) -> ResultPiece:
    [found] = CONTENT.pieces([part])
    assert isinstance(found, ResultPiece)
    return found


def test_a_tools_result_as_text_or_as_a_part_is_the_same() -> None:
    as_text = result_of({"type": "tool_result", "tool_use_id": "t1", "content": "sunny"})
    as_part = result_of({"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "sunny "}]})
    other = result_of({"type": "tool_result", "tool_use_id": "t1", "content": "rain"})
    assert as_text == as_part != other
    assert as_text.id == "t1"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(PNG, {**PNG, "cache_control": {"type": "ephemeral"}}, id="a cache mark"),
        pytest.param({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}, id="order of keys and 2.0 for 2"),
    ],
)
def test_media_that_is_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert CONTENT.pieces([one]) == CONTENT.pieces([other])


def test_media_that_is_not() -> None:
    other = {**PNG, "source": {**PNG["source"], "data": "eW8="}}  # type: ignore[dict-item]
    assert CONTENT.pieces([PNG]) != CONTENT.pieces([other])


SPOKEN = run_digest("Hello", [("look", {"a": 1, "b": "x"})])


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        pytest.param("Hello", '{"a": 1, "b": "x"}', id="arguments as text"),
        pytest.param("Hello", '{"b":"x","a":1.0}', id="in another order"),
        pytest.param(" Hel lo\n", {"b": "x", "a": 1}, id="other blanks"),
        pytest.param("<think>Hm.</think>\n\nHello", {"a": 1, "b": "x"}, id="reasoning in front"),
        pytest.param("<thinking>Hm.</thinking>Hello", {"a": 1, "b": "x"}, id="the other word for it"),
    ],
)
def test_a_run_that_is_the_same(said: str, arguments: Any) -> None:
    assert run_digest(said, [("look", arguments)]) == SPOKEN


@pytest.mark.parametrize(
    ("said", "calls"),
    [
        pytest.param("Hello", [], id="no call"),
        pytest.param("Hello", [("find", {"a": 1, "b": "x"})], id="another tool"),
        pytest.param("Hello", [("look", {"a": 2, "b": "x"})], id="other arguments"),
        pytest.param("Hullo", [("look", {"a": 1, "b": "x"})], id="another text"),
        pytest.param("Hello", [("look", {"a": 1, "b": "x"})] * 2, id="twice"),
    ],
)
def test_a_run_that_is_not(said: str, calls: list[tuple[str, Any]]) -> None:
    assert run_digest(said, calls) != SPOKEN


@pytest.mark.parametrize("arguments", [None, "", "  ", "{}", {}], ids=repr)
def test_no_arguments_are_an_empty_object(arguments: Any) -> None:
    assert run_digest("", [("look", arguments)]) == run_digest("", [("look", {})])


@pytest.mark.parametrize("said", ["", " \n", "<think>Hm.</think>"], ids=["nothing", "blanks", "reasoning alone"])
def test_a_run_that_says_nothing(said: str) -> None:
    assert run_digest(said, []) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param('Use {"a": 1}', "Use {'a': 1}!", True, id="other signs"),
        pytest.param("THE END", "the end", True, id="other case"),
        pytest.param("In the attic", "In the cellar", False, id="another answer"),
    ],
)
def test_the_gist_of_a_run(one: str, other: str, same: bool) -> None:
    assert (rough_digest(one, []) == rough_digest(other, [])) is same


def test_the_gist_of_calls_is_their_tools() -> None:
    assert rough_digest("I shall look.", ["look"]) == rough_digest("", ["look"]) != rough_digest("", ["find"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_no_content_raises(content: Any) -> None:
    pieces = CONTENT.pieces(content)
    assert len(message_digest("user", pieces)) == 16


@given(st.lists(st.text(alphabet="ab\0", min_size=1).filter(str.strip), max_size=4))
def test_pieces_do_not_run_together(texts: list[str]) -> None:
    pieces = [TextPiece(text) for text in texts]
    joined = [TextPiece("".join(texts))] if texts else []
    assert (message_digest("user", pieces) == message_digest("user", joined)) is (pieces == joined)
