"""`push parquet` to an object store: moto's S3 on this machine, by s3fs. Only `scripts/test --engines` runs these."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest
from tests.agents import packages
from tests.parquet import scale
from tests.support.gate import PATIENCE
from tests.support.running import free_port

MOTO, S3FS = "moto[server]==5.2.5", "s3fs==2026.9.0"
SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
RUN = (
    "import sys; sys.path.append(sys.argv.pop(1)); from sessiontap.cli.main import main; sys.exit(main(sys.argv[1:]))"
)
"""The command, with s3fs behind what is installed."""
READ = """
import json, sys
sys.path.append(sys.argv.pop(1))
import fsspec, pyarrow.parquet as pq
files = fsspec.filesystem("s3")
ids = []
for name in files.find("team/lake/calls"):
    with files.open(name) as file:
        ids += pq.read_table(file, columns=["id"], use_threads=False, pre_buffer=False)["id"].to_pylist()
print(json.dumps(ids))
"""
"""Without pyarrow's threads: one that still reads a file of Python's when the interpreter ends aborts the process."""


class Bucket:
    """A bucket, and pushes to it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self._s3fs = next(packages.python(S3FS).parents[1].glob("lib/python*/site-packages"))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", RUN, str(self._s3fs), *arguments]

    def environment(self, port: int) -> dict[str, str]:
        own = {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_MAX_ATTEMPTS": "1",
            "HOME": str(self.folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "SESSIONTAP_TRACE": str(self.folder / "logs"),
        }
        return os.environ | own

    def push(self, *, port: int | None = None) -> subprocess.CompletedProcess[str]:
        command = self.command("push", "parquet", "--to", "s3://team/lake")
        return subprocess.run(
            command, env=self.environment(port or self.port), capture_output=True, text=True, timeout=300, check=False
        )

    def names(self) -> list[str]:
        """What is in it."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/team?list-type=2", timeout=20) as answer:
            return re.findall(r"<Key>(.*?)</Key>", answer.read().decode())

    def ids(self) -> Counter[str]:
        """The ids of all rows, as a reader of its own finds them."""
        command = [sys.executable, "-c", READ, str(self._s3fs)]
        done = subprocess.run(
            command, env=self.environment(self.port), capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return Counter(json.loads(done.stdout))


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    python, port = packages.python(MOTO), free_port()
    made = Bucket(tmp_path, port)
    scale.log(tmp_path / "logs")
    with subprocess.Popen(
        [python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL
    ) as server:
        try:
            _create(port)
            yield made
        finally:
            server.kill()


def _create(port: int) -> None:
    """Make the bucket, once the server answers."""
    end = time.monotonic() + 2 * PATIENCE
    request = urllib.request.Request(f"http://127.0.0.1:{port}/team", method="PUT")
    while True:
        try:
            urllib.request.urlopen(request, timeout=20).close()
            return
        except URLError:
            assert time.monotonic() < end, "moto does not answer"
            time.sleep(0.05)


def test_each_call_has_one_row_however_often_it_is_pushed(bucket: Bucket) -> None:
    first, again = bucket.push(), bucket.push()
    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert {name.split("/")[2] for name in bucket.names()} == {"day=2026-11-21", "day=2026-11-22", "day=2026-11-23"}
    found = bucket.ids()
    assert set(found.values()) == {1}
    assert SECRET not in first.stdout + first.stderr + again.stderr


def test_a_push_that_was_killed_is_gone_on_with(bucket: Bucket) -> None:
    end = time.monotonic() + 4 * PATIENCE
    with subprocess.Popen(
        bucket.command("push", "parquet", "--to", "s3://team/lake"), env=bucket.environment(bucket.port)
    ) as push:
        while not bucket.names() and push.poll() is None:
            assert time.monotonic() < end, "nothing is pushed"
        push.kill()
    torn = bucket.ids()
    done = bucket.push()
    assert done.returncode == 0, done.stderr
    found = bucket.ids()
    assert torn.keys() <= found.keys()
    assert set(found.values()) == {1}


def test_a_store_that_is_not_there_is_said_without_secrets(bucket: Bucket) -> None:
    done = bucket.push(port=free_port())
    assert done.returncode != 0
    assert "s3://team/lake" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
