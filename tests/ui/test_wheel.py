"""The wheel holds every template and every static file: without one the page fails at whoever installs it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UI = ROOT / "addon" / "sessiontap" / "ui"


def test_the_wheel_holds_what_a_page_is_made_of(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    needed = {
        f"sessiontap/ui/{path.relative_to(UI).as_posix()}"
        for folder in ("templates", "static")
        for path in (UI / folder).rglob("*")
        if path.is_file()
    }
    assert len(needed) > 10
    assert needed <= held
