from __future__ import annotations

from typing import Any

import pytest
from tests.llm.llm_exchanges import asked, reply

from sessiontap.llm.call import Usage

PATH = "/v1/embeddings"


def test_request() -> None:
    assert asked(PATH, {"model": "m", "input": ["a", "b"]}).message == "b"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 4, "total_tokens": 4}, Usage(4)),
        ({"total_tokens": 4}, Usage(4)),
        ({"prompt_tokens": 4, "completion_tokens": 0, "total_tokens": 4}, Usage(4)),
        (None, None),
    ],
    ids=["openai", "voyage", "mistral", "none"],
)
def test_usage(usage: Any, expected: Usage | None) -> None:
    found = reply(PATH, {"model": "m-1", "data": [{"embedding": [0.1]}], "usage": usage})
    assert (found.usage, found.response_model, found.text) == (expected, "m-1", None)
