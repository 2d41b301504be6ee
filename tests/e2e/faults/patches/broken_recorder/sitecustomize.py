"""The function that `BREAK` names raises in the recorder's process (`scripts/break_one.py`), and there alone."""

import runpy
import sys
from pathlib import Path

if "sessiontap.recording" in " ".join(sys.orig_argv):
    runpy.run_path(str(Path(__file__).parents[3] / "scripts" / "break_one.py"))["running"]()
