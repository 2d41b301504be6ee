"""Where an export goes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.command import runner
from tests.push.logs import Log


def test_an_object_store_is_refused_with_the_command_that_writes_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Log(tmp_path / "log").close()
    done = runner(capsys, monkeypatch, trace=tmp_path / "log")("export", "-f", "parquet", "-o", "s3://bucket/lake")
    assert (done.status, done.err) == (
        2,
        "sessiontap: an export is written to this machine, and s3: is an object store\n"
        "hint: give a path, or add calls to it by: sessiontap push parquet --to ADDRESS\n",
    )
    assert not (tmp_path / "s3:").exists()
