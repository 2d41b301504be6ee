"""The command `sessiontap`: reads what `trace` offers, starts the proxy, prints.

    main.py, options.py, errors.py, completion.py   the command as a whole: what it takes, and how it ends
    commands/                                       the commands
    output.py, table.py, characters.py              text, tables and figures for a terminal or a pipe
    listing.py, tree.py, timeline.py                sessions, calls and statistics
    call_text.py, curl.py, differences.py           one call, and two of them
    recorded_facts.py, call_costs.py                a call as it was understood, its cost
    gaps.py, left_out.py                            what the log lacks, and what a list leaves out
    environment.py, ca_bundle.py                    the variables of a captured program
    local_proxies.py, rules_in_use.py               the proxies that run, what they answer, their rules
    private_proxy.py, exec_rules.py                 the proxy that `exec` starts, and its rules
    supervisor.py, program.py, summary.py           the program of `exec`, and its result
    checks.py, unrecorded.py, direct_connections.py why a call is not there

Everything heavier than click is imported inside a command, so that `sessiontap ls` starts at once. The command may
import every package but the mitmproxy side, whose two entries (`proxy.runner.main`, `proxy.ca.ensure_ca`) are imported
only by the commands that need them. click and rich belong here and nowhere else.
"""
