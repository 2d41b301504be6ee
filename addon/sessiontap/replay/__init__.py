"""A recorded session, served to the program again: which recorded call answers a request, and how its reply comes.

    question.py      a live request, the recorded reply that answers it, and a miss
    replayer.py      the ladder: `open_replayer(calls)` gives what answers live requests
    recording.py     the recorded calls, their keys, and their replies; pacing.py: the pieces in which a reply comes
    api.py           the API that a request asks, and its address
    canonical.py     a request without what differs from run to run; canonicalizer.py makes it by the table volatile.py
    lanes.py         the place of a request in the recording
    differences.py   how two requests differ, in sentences
    report.py        what became of a replay
    server.py        serves the answers; playing.py and web_socket.py: how they come; miss.py: the error of a miss
    live_socket.py   a WebSocket that goes on live

The one rule: a reply is given as it was recorded, or not at all.
"""
