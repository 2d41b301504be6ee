"""Who is calling: a connection -> the process at its other end.

Imports nothing of the project. `find` is the one function behind which each platform has its module.
"""

from sessiontap.callers.caller import Caller, Found, Process

__all__ = ["Caller", "Found", "Process"]
