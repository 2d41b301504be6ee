"""`python -m sessiontap.proxy`: the proxy that `exec` starts for its program, `sessiontap run` without a command line.

Its arguments are mitmdump's own.
"""

import sys

from sessiontap.proxy import entry

if __name__ == "__main__":
    if wrong := entry.unmet():
        entry.exit_with_error(wrong)
    entry.run(sys.argv[1:], records=True)
