"""The recorder: a process of its own, in which calls that are over are read, redacted, packed and written.

    finished.py   the values that cross the pipe: a finished call, and the events that come back
    wire.py       both as messages on a pipe
    decode.py     decode the bodies, read the reply
    counting.py   what a call came to, for alerts and limits
    record.py     a call and its caller as records
    process.py    the process: messages in, records out, and a line for the terminal
    spawn.py      its start
    recorder_process.py  the process as its parent sees it, from start to end
    handle.py     a queue towards it, and another process if it dies
    budget.py     the memory that all of this may hold
    idle_reading.py a process of the lowest priority that reads calls into the index

The proxy's loop and its interpreter's lock are for the traffic alone. Whatever the recorder does (a reply of 20 MB, a
slow disk, a crash) delays no call; and what was handed over is written even if the proxy is killed.

Imports callers, llm, rules, sessions, headers, gateways, redaction, trace. Knows no mitmproxy.
"""
