"""The command `sessiontap`: reads what `trace` offers, starts the proxy, prints.

    main.py, options.py, filter_options.py, errors.py  the command as a whole: what it takes, and how it ends
    completion_scripts.py, completion_values.py        what a shell asks at each press of a key
    commands/                                          the commands
    output.py, table.py, characters.py                 text, tables and figures for a terminal or a pipe
    listing.py, tree.py, timeline.py, scores_text.py   sessions, calls, statistics, scores
    following.py, proxies_of_log.py                    `tail -f`, and the calls that have not ended
    call_text.py, conversation_text.py                 one call, and a conversation
    call_differences.py, session_differences.py        two calls, two sessions
    explained_call.py, call_costs.py                   a call as the rules see it, its cost
    context_tables.py, tool_tables.py, cache_table.py, waste_tables.py    answers about a session
    annotating.py                                      what `score` and `relabel` share
    gaps.py, left_out.py                               what the log lacks, and what a list leaves out
    environment.py, ca_bundle.py                       the variables of a captured program
    local_proxies.py, rules_files.py                   the proxies that run, what they answer; rules files
    private_proxy.py, exec_rules.py                    the proxy that `exec` starts, and its rules
    supervisor.py, program.py, summary.py              the program of `exec`, and its result
    checks.py, unrecorded.py, direct_connections.py    why a call is not there
    rules_test.py, backtest_tables.py                  `rules test`
    replay_input.py, replay_serving.py                 `replay`
    push_settings.py, push_status.py                   `push`
    page_server.py                                     the process of `ui`

Everything heavier than click is imported inside a command, so that `sessiontap ls` starts at once. The command may
import every package but the mitmproxy side, whose two entries (`proxy.runner.main`, `proxy.ca.ensure_ca`) are imported
only by the commands that need them. click and rich belong here and nowhere else.
"""
