"""Answers about sessions, made of their turns: what fills a context, what tools did, why a cache missed, what is waste,
what was said.

Every function is pure. It takes `Turn`s of a session (`Trace.query_turns`, or `query_brief_turns` of a whole long one),
oldest first, and the `InputTerms` of its calls, and returns one plain structure, which `--json` prints whole and
commands draw.

    part_tokens.py   the tokens of each part of a request, estimated: a provider states their sum alone
    sent_parts.py    the parts that each turn brings, and how often, for how many tokens, at what cost each was sent
    part_costs.py    the cost of a part, by the provider's count of what was read from and written to its cache
    tool_runs.py     calls of tools and their results, brought together
    tools.py         each tool: calls, errors, time, results
    context.py       the content of each request by kind, tool, file and MCP server; the biggest blocks: blocks.py;
                     in layers for a picture: context_layers.py
    cache.py         hits and misses of the provider's cache, with their reasons (cache_changes.py) by the
                     provider's terms (cache_terms.py), and in words (cache_reasons.py)
    waste.py         tools never called, results never referred to (references.py), content sent twice
    spending.py      the cost over the calls by model, agent, path or by what was paid for
    timeline.py      lanes, paths and tools in time, on a scale that squeezes pauses (time_scale.py)
    compare_sessions.py  two sessions beside each other, their calls in pairs
    compare_recorded.py  two calls or two sessions of a log beside each other
    compare_words.py     the words that changed in the lines of a diff
    call_facts.py        headers as asked and as sent, times, parts of one call; its bodies as trees: json_tree.py
    recorded_call.py     a recorded call as `llm/` reads it, so that it can be read again
    conversation.py  what was said, by whom, each thing once; sub-agents in place; a stretch of a long
                     session: conversation_page.py

Tokens of parts are estimates and said to be: their names end in `_estimated`, or a field `estimated` stands beside
them. Unknown is None.
"""
