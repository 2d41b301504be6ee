"""Recorded calls in formats of other tools: JSON Lines, HAR, mitmproxy's flow files.

    exported_call.py   what a format is given of a call: plain values, and the messages of a WebSocket's turn
    formats.py         the list of formats
    jsonl.py, har.py   one module a format

A format is a line of the list and a module with `write(calls, out)`. The module is imported when the format is asked
for: that of mitmproxy's own files is `proxy/flow_file.py`, in the package that knows mitmproxy. This package imports
`trace` alone, and the list imports nothing, so that the command's help costs nothing.
"""
