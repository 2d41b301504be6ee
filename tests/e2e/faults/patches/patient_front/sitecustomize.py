"""The front of workers waits for callers, and for a worker that is started again, as long as a busy machine takes."""

import sys

if {"sessiontap.cli", "run"} <= set(sys.orig_argv):
    from sessiontap.proxy import assignment, front

    front.PATIENCE = assignment.RESTART_PATIENCE = 120.0
