"""`python -m sessiontap.cli`: the command without an installed script."""

import sys

from sessiontap.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
