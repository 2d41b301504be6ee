"""Twenty processes at once."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("ask_urllib.py")
processes = [subprocess.Popen([sys.executable, PROGRAM], stdout=subprocess.DEVNULL) for _ in range(20)]
print(sum(process.wait() == 0 for process in processes))
