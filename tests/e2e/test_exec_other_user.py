"""A captured program that starts another as another user, who may not enter our home: TLS works there, too."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may change the user"),
]

AS_NOBODY = """
import os, pwd, ssl, sys
nobody = pwd.getpwnam("nobody")
os.setgroups([])
os.setgid(nobody.pw_gid)
os.setuid(nobody.pw_uid)
for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SYSTEM_WGETRC"):
    open(os.environ[name]).read()
os.listdir(os.environ["PHP_INI_SCAN_DIR"].rpartition(":")[2])
print(len(ssl.create_default_context().get_ca_certs()) > 1)
"""


def test_another_user_reads_the_bundle(tmp_path: Path) -> None:
    try:
        pwd.getpwnam("nobody")
    except KeyError:
        pytest.skip("there is no user nobody")
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    environ = {name: value for name, value in os.environ.items() if name not in ("TMPDIR", "SESSIONTAP_SAVED")}
    command = [sys.executable, "-P", "-m", "sessiontap.cli", "exec", "--", python, "-c", AS_NOBODY]
    done = subprocess.run(
        command,
        cwd="/",
        env=environ | {"HOME": str(home), "SESSIONTAP_RULES": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
