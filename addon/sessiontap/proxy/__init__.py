"""The mitmproxy side, and the only room that knows mitmproxy.

    entry.py        what addon/main.py loads: checks, then the one addon object
    complain.py     why the proxy does not start, in a sentence
    tap.py          that object: mitmproxy's hooks, each a few lines around a function of another module
    settings.py     the options, and mitmproxy's own defaults where the user set none
    connections.py  what is known of a client connection: caller, proxy user, hosts; intercept or pass through
    plan.py         one call's plan: facts -> decision -> session -> headers -> route, in the rooms' order
    carry_out.py    the plan, on mitmproxy's messages
    live.py         a call in flight, and what it leaves when it ends
    recorder.py     what it leaves, on its way to the recorder's process (recording/)
    replies.py      replies that it reads, and waiting for those that a new call may go on from
    sockets.py      a live WebSocket, whose turns are calls
    report.py       the proxy's terminal, where calls leave a line
    bodies.py       copying bodies as they stream
    outcome.py      how a call ended
    rules_file.py   the rules file, reloaded when it changes
    state_file.py   where a running proxy says where it listens
    chain.py        a shorter addon chain: what has nothing to do sleeps
    dispatch.py     asking only the addons that have a hook
    runner.py       `sessiontap run`: mitmdump with the addon loaded
    ca.py           mitmproxy's certificate authority, made before the proxy starts
    flow_file.py    recorded calls as mitmproxy's flow file; no part of the proxy

It imports every other room but the readers' (cli, demo, prices; of export the values that flow_file is given); none
imports it, but for `cli run`, `exec` and `env`.
"""
