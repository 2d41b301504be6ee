"""Waits for changed rules and for callers as long as a busy machine takes: no test depends on how quick it is."""

from sessiontap.proxy import connections, rules_file

connections.PATIENCE = connections.PROTECTING_PATIENCE = rules_file.PATIENCE = 120.0
