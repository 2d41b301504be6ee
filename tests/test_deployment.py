"""The service's unit and the image's recipe fit the project: files, options, times."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from sessiontap import units
from sessiontap.proxy.settings import OPTIONS

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "docs/deployment/sessiontap.service"
DOCKERFILE = ROOT / "docs/deployment/Dockerfile"
MITMPROXYS = {"confdir"}


@pytest.mark.parametrize("file", [UNIT, DOCKERFILE], ids=lambda file: file.name)
def test_every_option_it_sets_exists(file: Path) -> None:
    names = set(re.findall(r"--set[\s\",]+(\w+)=", file.read_text()))
    assert "session_drain" in names
    assert names <= MITMPROXYS | {option.name for option in OPTIONS}


@pytest.mark.parametrize(
    ("file", "killed_after"),
    [(UNIT, r"TimeoutStopSec=(\w+)"), (DOCKERFILE, None)],
    ids=["systemd", "docker's ten seconds"],
)
def test_calls_may_end_before_it_is_killed(file: Path, killed_after: str | None) -> None:
    text = file.read_text()
    drain = re.search(r"session_drain=(\w+)", text)
    assert drain is not None
    limit = re.search(killed_after, text) if killed_after is not None else None
    seconds = units.seconds(limit[1]) if limit is not None else 10.0
    assert units.seconds(drain[1]) < seconds


def test_the_image_is_built_of_files_that_exist_and_of_all_that_the_package_needs() -> None:
    copied = [words.split()[1:-1] for words in DOCKERFILE.read_text().splitlines() if words.startswith("COPY ")]
    names = {name for names in copied for name in names}
    assert [name for name in names if not (ROOT / name).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {
        "pyproject.toml",
        project["project"]["readme"],
        *project["project"]["license-files"],
        *project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"],
    }
    assert needed <= names


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/sessiontap/bin/sessiontap", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
