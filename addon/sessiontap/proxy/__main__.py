"""`python -m sessiontap.proxy`: the proxy that `exec` starts for its program, `sessiontap run` without a command line.

Its arguments are mitmdump's own.
"""

import sys

from sessiontap import own_python
from sessiontap.proxy.start import run

if __name__ == "__main__":
    run(sys.argv[1:], records=True)
    own_python.end_process()
