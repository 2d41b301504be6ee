"""Recorded calls in formats of other tools: JSON Lines, HAR, mitmproxy's flow files.

    call.py      what a format is given of a call: plain values
    frames.py    the messages of a WebSocket's turn, out of its bodies
    formats.py   the table of formats
    jsonl.py, har.py   one module a format

A format is one entry of the table and one module with `write(calls, out)`. It is loaded, by its name, when it is asked
for: the module of mitmproxy's own files lives in `proxy/`, the room that knows mitmproxy. This room imports `trace`
alone, and the table nothing, so that the command's help costs nothing.
"""
