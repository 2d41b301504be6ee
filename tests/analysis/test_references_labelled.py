"""Whether results are referred to, against a person's word on each of the corpus: 105 results of real frameworks.

A result counts as used if a later reply of its conversation repeats, rounds, rewords or acts on what it says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.analysis.test_corpus import sessions
from tests.llm.llm_corpus import needs_corpus

from sessiontap.analysis.references import Reference, references

pytestmark = needs_corpus

NOT_USED = {
    # end of the cassette's name, beginning of the result
    ("TestInvokeModelWithStreamResponse.test_invoke", "nice"),
    ("TestInvokeModelWithStreamResponse.test_invoke", "large"),
    ("test_google_adk_instrumentor_image_artifacts", '{"artifact_names":'),
    ("test_tool_calls", '{"city": "New York", "weather": "fine"}'),
    ("test_tool_calls", '{"city": "New York", "weather": "large"}'),
    ("test_anthropic_tools_history_legacy", "Sunny and 65"),
    ("test_tool_calls_anthropic_text_block_and_history", "Sunny as always!"),
    ("test_tool_calls_with_history", "Sunny as always!"),
    ("test_ollama_chat_tool_calls_legacy", "The weather in San Francisco is 70"),
    ("test_router_analytics_complete_workflow", '{"assistant":'),
    ("test_music_composer_handoff_hierarchy", '{"assistant":'),
    ("test_recipe_agents_hierarchy", '{"assistant":'),
}
"""What no later reply makes anything of. All other results of the corpus are used."""


def results() -> Iterator[tuple[str, Reference]]:
    """Each result once, if the same was asked and answered several times."""
    known = set()
    for name, turns in sessions().items():
        for one in references(turns):
            own = turns[one.turn].call["conversation"]
            later = (turn.reply for turn in turns[one.turn :] if turn.call["conversation"] == own)
            key = one.part.text, tuple(part.text for reply in later for part in reply or ())
            if key not in known:
                known.add(key)
                yield name.rpartition("/")[2], one


def is_used(cassette: str, text: str) -> bool:
    return not any(cassette == name and text.startswith(beginning) for name, beginning in NOT_USED)


def test_verdicts_on_the_corpus() -> None:
    found = Counter((is_used(name, one.part.text or ""), one.referred) for name, one in results())
    assert sum(found.values()) == 105
    assert sum(number for (used, _), number in found.items() if not used) == len(NOT_USED)
    assert found[True, False] == 0, "a result that was used is listed as waste"
    assert found[False, True] == 0, "a result that was not used counts as used"
    assert (found[True, True], found[True, None]) == (74, 19)
    assert (found[False, False], found[False, None]) == (1, 11)
