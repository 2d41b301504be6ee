"""A conversation as one file, opened from disk by a browser without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from sessiontap.cli.main import main


@pytest.fixture(scope="module")
def file(hostile_trace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of sessions of which one tries to be more than text, in every place."""
    out = tmp_path_factory.mktemp("export") / "out.html"
    assert main(["export", "--format", "html", "--trace", str(hostile_trace), "-o", str(out)]) == 0
    return out


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_it_opens_without_network_and_runs_nothing_of_what_was_said(
    chromium: Browser, file: Path, scripts: bool
) -> None:
    context = chromium.new_context(offline=True, java_script_enabled=scripts)
    page, faults, asked = context.new_page(), list[str](), list[str]()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())

    assert page.locator("[data-turn]").count() > 1
    assert page.locator("html[data-ran], img, iframe, form[action], base").count() == 0
    assert [one for one in asked if not one.startswith(("data:", file.as_uri()))] == []
    if scripts:
        page.keyboard.press("]")
        assert page.locator("[data-turn].current").count() == 1
    assert faults == []
    context.close()
