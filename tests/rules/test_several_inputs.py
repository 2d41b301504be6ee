"""A request with several inputs (embeddings, completions, ranking): each of them may be what is to stay out."""

from __future__ import annotations

from typing import Any

import pytest
from tests.llm.llm_exchanges import call
from tests.rules.build import facts, load

from sessiontap.rules import Protection, decide, explain

ABOUT_PATIENTS = "[{rule: patients, match: {message: '*patient*'}, capture: metadata}]"
PATIENT, BREAD, RYE = "A patient of the clinic", "Bread", "Rye"
EMBEDDINGS, COMPLETIONS = "/v1/embeddings", "/v1/completions"
BEDROCK = "/model/{}/invoke"


def decided(rules: str, path: str, body: Any, provider: str | None = None) -> Any:
    return decide(load(f"rules: {rules}"), facts(call=call(path, body, provider)), {})[0]


@pytest.mark.parametrize(
    ("path", "body", "provider"),
    [
        pytest.param(EMBEDDINGS, {"input": [PATIENT, BREAD]}, None, id="embeddings"),
        pytest.param(EMBEDDINGS, {"input": [{"text": PATIENT}, {"text": BREAD}]}, None, id="embeddings of maps"),
        pytest.param(EMBEDDINGS, {"input": [[PATIENT, RYE], [BREAD]]}, None, id="embeddings of chunks"),
        pytest.param(EMBEDDINGS, {"messages": [{"role": "user", "content": PATIENT}]}, None, id="of a chat"),
        pytest.param(EMBEDDINGS, {"input": [[4, 3], [2, 1]]}, None, id="embeddings of tokens"),
        pytest.param(EMBEDDINGS, {"input": [4, 3, 2, 1]}, None, id="an embedding of tokens"),
        pytest.param(COMPLETIONS, {"prompt": [PATIENT, BREAD]}, None, id="completions"),
        pytest.param(COMPLETIONS, {"prompt": [[4, 3]]}, None, id="completions of tokens"),
        pytest.param("/v1/fim/completions", {"prompt": BREAD, "suffix": PATIENT}, None, id="what follows"),
        pytest.param("/v2/embed", {"texts": [PATIENT, BREAD]}, "cohere", id="cohere's texts"),
        pytest.param(
            "/v2/embed",
            {"inputs": [{"content": [{"type": "text", "text": one}]} for one in (PATIENT, BREAD)]},
            "cohere",
            id="cohere's inputs",
        ),
        pytest.param("/v2/rerank", {"query": BREAD, "documents": [PATIENT, RYE]}, "cohere", id="ranking"),
        pytest.param(
            "/v2/rerank", {"query": BREAD, "documents": [{"title": PATIENT}]}, "cohere", id="ranking of maps"
        ),
        pytest.param("/v1/rerank", {"query": BREAD, "documents": [PATIENT, RYE]}, "jina", id="another's ranking"),
        pytest.param("/api/embed", {"input": [PATIENT, BREAD]}, "ollama", id="ollama"),
        pytest.param("/api/generate", {"prompt": BREAD, "suffix": PATIENT}, "ollama", id="ollama's suffix"),
        pytest.param(BEDROCK.format("cohere.embed-v4"), {"texts": [PATIENT, BREAD]}, "aws", id="bedrock"),
        pytest.param(
            BEDROCK.format("cohere.rerank"), {"query": BREAD, "documents": [PATIENT, RYE]}, "aws", id="bedrock ranks"
        ),
        pytest.param(
            BEDROCK.format("amazon.nova-2-multimodal-embeddings-v1:0"),
            {"singleEmbeddingParams": {"text": {"value": PATIENT}}},
            "aws",
            id="a form that nobody reads",
        ),
        pytest.param("/v1/moderations", {"input": [PATIENT, BREAD]}, None, id="moderations"),
        pytest.param(
            "/v1beta/models/text-embedding:batchEmbedContents",
            {"requests": [{"content": {"parts": [{"text": one}]}} for one in (PATIENT, BREAD)]},
            "google",
            id="gemini's batches",
        ),
    ],
)  # fmt: skip
def test_each_input_counts_for_what_is_to_stay_out(path: str, body: Any, provider: str | None) -> None:
    found = decided(ABOUT_PATIENTS, path, {"model": "m", **body}, provider)
    assert found.capture == "metadata"
    assert found.protected == Protection("metadata", "patients", ("message",))


@pytest.mark.parametrize(
    ("path", "body", "provider"),
    [
        pytest.param(EMBEDDINGS, {"input": [RYE, BREAD]}, None, id="embeddings"),
        pytest.param(EMBEDDINGS, {"input": BREAD, "user": PATIENT}, None, id="a user's name"),
        pytest.param(COMPLETIONS, {"prompt": [RYE, BREAD], "suffix": None}, None, id="completions"),
        pytest.param("/v2/rerank", {"query": BREAD, "documents": [RYE]}, "cohere", id="ranking"),
        pytest.param("/v1/chat", {"message": BREAD, "documents": [PATIENT]}, "cohere", id="what a chat is given"),
        pytest.param("/v2/chat", {"messages": [{"role": "user", "content": BREAD}]}, "cohere", id="a chat"),
        pytest.param("/api/embed", {"input": [RYE, BREAD]}, "ollama", id="ollama"),
        pytest.param(BEDROCK.format("amazon.titan-embed"), {"inputText": BREAD}, "aws", id="bedrock"),
        pytest.param(
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": PATIENT}, {"role": "user", "content": BREAD}]},
            None,
            id="an older message of a chat",
        ),
    ],
)  # fmt: skip
def test_what_no_input_says_stays_in(path: str, body: Any, provider: str | None) -> None:
    found = decided(ABOUT_PATIENTS, path, {"model": "m", **body}, provider)
    assert (found.capture, found.protected) == ("full", None)


SEVERAL = {"model": "m", "input": [PATIENT, BREAD]}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param("[{match: {message: '*patient*'}, ignore: true}]", "ignore", id="ignored"),
        pytest.param("[{match: {not: {message: 'Bread*'}}, capture: none}]", "none", id="not"),
        pytest.param("[{match: {message: 're:pat.ent'}, capture: none}]", "none", id="an expression"),
        pytest.param(
            "[{match: {message: 'Bread*'}, capture: full}, {capture: none}]", "none", id="settled for the newest alone"
        ),
        pytest.param("[{match: {message: '*'}, capture: full}, {capture: none}]", "full", id="settled for all"),
        pytest.param("[{match: {not: {message: '*'}}, capture: none}]", "full", id="not for any"),
    ],
)
def test_rules_protect_as_for_any_of_the_inputs(rules: str, expected: str) -> None:
    found = decided(rules, EMBEDDINGS, SEVERAL)
    assert ("ignore" if found.ignore else found.capture) == expected


def test_a_rule_that_means_the_newest_input_matches_for_certain() -> None:
    found = decided("[{match: {message: 'Bread*'}, capture: none}]", EMBEDDINGS, SEVERAL)
    assert (found.capture, found.protected) == ("none", None)


def test_an_expression_searches_so_many_inputs_and_no_more() -> None:
    body = {"model": "m", "input": [*["x" * 1000] * 2000, BREAD]}
    assert decided("[{match: {message: 're:pat.ent'}, capture: none}]", EMBEDDINGS, body).capture == "none"
    assert decided("[{match: {message: '*patient*'}, capture: none}]", EMBEDDINGS, body).capture == "full"


def test_labels_go_by_the_newest_input() -> None:
    found = decided("[{match: {message: '*patient*'}, session: {name: Clinic}}]", EMBEDDINGS, SEVERAL)
    assert found.name != "Clinic"


def test_explain_says_that_another_input_may_be_meant() -> None:
    rules = load(f"rules: {ABOUT_PATIENTS}")
    (verdict,) = explain(rules, facts(call=call(EMBEDDINGS, SEVERAL)), None).rules
    assert verdict.outcome == "may match"
    assert [(check.actual, check.unknown) for check in verdict.checks] == [((BREAD,), True)]


@pytest.mark.parametrize("value", [None, 5, "", [], {}, [None], [[[[]]]], [{"text": 5}], {"content": {"a": 1}}, True])
def test_an_input_of_any_shape_does_no_harm(value: Any) -> None:
    for field in ("input", "messages", "prompt"):
        assert decided(ABOUT_PATIENTS, EMBEDDINGS, {"model": "m", field: value}).capture in ("full", "metadata")


def test_an_input_is_found_however_deep_it_is() -> None:
    deep: Any = PATIENT
    for _ in range(500):
        deep = [deep]
    assert decided(ABOUT_PATIENTS, EMBEDDINGS, {"model": "m", "input": deep}).capture == "metadata"
