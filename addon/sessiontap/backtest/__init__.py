"""Rules tested on recorded traffic: each call decided again, and what would be another than it was.

    order.py           the order in which the proxy took the calls up and heard their ends
    recorded_facts.py  a recorded call as the proxy had it; recorded_sockets.py: the place of a turn on its WebSocket
    redecide.py        the proxy's own planner, over all of them
    outcome.py         what was decided of a call, as recorded and as decided again; and the difference of both
    sessions.py        the same of sessions: split, merged, renamed
    tally.py           what each rule did
    relabelling.py     what labels have to say so that the log is seen so
    expectations.py    a file that says what should come of it
    report.py          all of that, in plain values

Pure: recorded calls go in, plain values come out. It decides with the parts of `proxy/` that do not know mitmproxy.
"""
