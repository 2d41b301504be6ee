"""A server in front of a reader that refuses what is too large for it: nginx, as many have it before Phoenix."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.push.logs import SECOND, call, log_of
from tests.readers import servers
from tests.readers.test_phoenix import Phoenix
from tests.support.running import free_port, running

from sessiontap.span_ids import span_id

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin")
LIMIT = 64 << 10
"""Bytes of a request, compressed, that it lets through."""
CALLS, LARGE = 40, 17
"""Calls, and the one of them that is larger than that."""
CONFIGURATION = """
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events {}
http {
  access_log requests.log;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {
    listen 127.0.0.1:%(port)d;
    client_max_body_size %(limit)d;
    location / { proxy_pass %(behind)s; }
  }
}
"""

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@contextmanager
def nginx(folder: Path, behind: str) -> Iterator[str]:
    """Run nginx before a server; yields its address."""
    assert NGINX is not None
    folder.mkdir()
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION % {"port": port, "limit": LIMIT, "behind": behind}, encoding="utf-8")
    url = f"http://127.0.0.1:{port}"
    command = [NGINX, "-p", f"{folder}/", "-e", "error.log", "-c", str(configuration)]
    with running(command, folder, {}, f"{url}/healthz"):
        yield url


def chat(number: int, began: int) -> dict[str, Any]:
    """The record of a call with a text that cannot be compressed by more than a half."""
    text = random.Random(number).randbytes((200 if number == LARGE else 3) << 10).hex()
    asked = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}).encode()
    one = call(f"call-{number}", session="session-large", step=number, asked=asked)
    return {**one, "time": began + number * SECOND}


def push(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sessiontap.cli", "push", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=servers.PUSH_LIMIT, check=False)


def test_the_call_that_is_too_large_is_set_aside_and_the_rest_arrives(tmp_path: Path) -> None:
    began = time.time_ns() - 3600 * SECOND
    trace = log_of(tmp_path / "trace", *(chat(number, began) for number in range(CALLS)))
    (tmp_path / "phoenix").mkdir()
    with servers.phoenix(tmp_path / "phoenix") as reader, nginx(tmp_path / "nginx", reader) as url:
        done = push("phoenix", "--endpoint", url, "--trace", str(trace), "--content")
        spans = {span["context"]["span_id"] for span in Phoenix(reader).told().spans}
    answers = [line.split('"')[2].split()[0] for line in (tmp_path / "nginx" / "requests.log").read_text().splitlines()]
    assert "413" in answers
    (row,) = map(json.loads, push("status", "--json", "--trace", str(trace)).stdout.splitlines())
    assert {one["call"] for one in row["set_aside"]} == {f"call-{LARGE}"}
    assert "413 Request Entity Too Large" in row["set_aside"][0]["reason"]
    assert row["behind"] == 0
    assert done.returncode == 1
    assert f"call call-{LARGE} was set aside" in done.stderr
    ids = {span_id(f"call-{number}"): number for number in range(CALLS)}
    assert {number for id, number in ids.items() if id in spans} == set(range(CALLS)) - {LARGE}
