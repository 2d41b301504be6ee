"""Runs a Python program on a machine of another name: in a UTS namespace of its own."""

import os
import socket
import sys

os.unshare(os.CLONE_NEWUTS)
socket.sethostname(sys.argv[1])
os.execv(sys.executable, [sys.executable, "-P", *sys.argv[2:]])
