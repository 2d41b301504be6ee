"""Tests of one's own app on recorded calls, offline: a plugin of pytest (docs/replay.md).

    plugin.py       options, the fixture `sessiontap`, what a failed test says
    stage.py        the proxy that all tests of a run go through: it records, or replays
    egress.py       keeps a test that is replayed from the network; programs.py the programs that it starts
    recordings.py   the recording of a test: a folder of the log beside it
"""
