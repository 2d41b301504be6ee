"""The index of a trace folder: derived from the log by readers, deleted without loss, asked instead of the segments.

Imported by readers alone, never on the proxy's path. Uses sqlite3 and what `trace` itself imports.
"""
