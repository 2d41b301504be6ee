"""The answers in JSON against their own description, asked by schemathesis: whatever is asked, nothing but what the
description says comes back, and never an error of the server.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.ui.served import COOKIE, Client

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "unsupported_method", "allow_header_conformance",
)  # fmt: skip
LIMIT = 1200.0  # seconds, on a machine that has much else to do
KNOWN = """
[parameters]
"path.session" = ["@1", "@2"]
"path.call" = ["@1", "@1/0", "@2/1"]
"query.a" = ["@1", "@1/0"]
"query.b" = ["@2", "@2/0"]
"query.q" = ["hello", "nothing like it"]
"""
"""Sessions and calls that there are: schemathesis alone would hardly guess one."""


@pytest.mark.parametrize("configuration", [KNOWN, ""], ids=["what there is", "anything"])
def test_the_api_is_what_it_says(client: Client, tmp_path: Path, configuration: str) -> None:
    file = tmp_path / "schemathesis.toml"
    file.write_text(configuration)
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(file), "run",
        f"http://127.0.0.1:{client.port}/api/openapi.json", "--header", f"Cookie: {COOKIE}={client.cookie}",
        "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--seed", "7",
        "--suppress-health-check", "all", "--no-color", "--continue-on-failure",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stdout[-6000:]
