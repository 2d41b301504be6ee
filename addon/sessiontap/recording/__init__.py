"""The recorder: a process of its own, in which calls that are over are read, redacted, packed and written.

    finished.py   what the proxy hands over: a call in plain values; and what comes back of it
    wire.py       both as messages on a pipe
    seen.py       decoding and reading what came back; from there to what is kept
    line.py       a call as a line on the terminal
    process.py    the process: messages in, records out
    life.py       the process as its parent sees it, from start to end
    handle.py     a queue towards it, and another process where it has died

The proxy's loop and its interpreter's lock are for the traffic alone. Whatever the recorder does (a reply of 20 MB, a
slow disk, a crash) delays no call; and what was handed over is written even where the proxy is killed.

Imports callers, llm, rules, sessions, headers, gateways, redaction, trace. Knows no mitmproxy.
"""
