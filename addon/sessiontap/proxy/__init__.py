"""The mitmproxy side, and the only package that knows mitmproxy.

    start.py        the beginning of `sessiontap run`, before mitmproxy is loaded; requirements.py: what it needs
    entry.py        the one addon object
    late_modules.py libraries of mitmproxy's that `sessiontap run` loads when they are first used
    tap.py          that object: mitmproxy's hooks, each a few lines around a function of another module
    service.py      start, stop and reload of what runs behind the hooks
    flows.py        mitmproxy's messages in plain values, a plan applied to them, and the way a flow ended
    settings.py     the options, and mitmproxy's own defaults if the user set none
    connections.py  what is known of a client connection: caller, proxy user, hosts
    interception.py which connections are looked into; first_bytes.py: what a connection speaks
    layers.py       mitmproxy's protocol layers where ours differ
    passed.py       the list of what passed unrecorded
    distrust.py     clients that do not accept the proxy's certificate; runtimes.py: what theirs needs
    upstream.py     the way of a call to its server, also through another proxy

    call_context.py  a call in flight, and its plan
    calls.py        its way through the stages: prepare, wait for replies, plan, finish
    prepare.py      read the request, the conversation in it, and what its client says of itself
    replies.py      replies that the recorder reads, and waiting for those that a new call may go on from
    plan.py         facts -> decision -> session -> headers -> route, each package asked in turn
    set_clock.py    times of calls, though somebody sets the machine's clock meanwhile
    bodies.py       copying bodies as they stream
    sockets.py      a live WebSocket, whose turns are calls
    finish.py       the one value that it becomes: `FinishedCall`, and its bodies
    recorder.py     that, on its way to the recorder's process (recording/), and what comes back: lines and faults

    alerts.py       counts of alerts and limits (limits/), and the calls that are refused
    notifier_process.py  the process that tells a command and a webhook of them

    notices.py      what the user and the log are told of calls and connections
    rules_file.py   the rules file, reloaded when it changes
    state_file.py   where a running proxy says where it listens, how, and whose it is
    own_address.py  what a proxy is asked about itself; own_answers.py: its answers;
                    in_flight.py: the calls that have not ended, for whoever asks
    master.py       the master of `sessiontap run`; runner.py: that command, from its start to its end
    front.py        `sessiontap run --workers`: accepts connections for several proxies; it loads no mitmproxy
                    (listening.py, look_ups.py, assignment.py, worker_process.py)
    channel.py      what it and its workers say to each other
    worker.py       such a proxy
    ca.py           mitmproxy's certificate authority, made before the proxy starts
    flow_file.py    recorded calls as mitmproxy's flow file; no part of the proxy

It imports every other package but the readers' (cli, demo, prices; of export the values that flow_file is given); none
imports it, but for `cli run`, `exec` and `env`.
"""
