"""Pictures of the pages for the documentation: `scripts/screenshots` makes them anew, of a trace that never changes."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright
from tests.analysis import coding_session
from tests.ui import long_session
from tests.ui.browser.conftest import FLAGS, NAMES
from tests.ui.served import served

PICTURES = {
    "sessions": "/",
    "conversation": "/sessions/fix-parse-week/conversation",
    "timeline": f"/sessions/{long_session.SESSION}/timeline?from=0&to=85",
    "context": "/sessions/fix-parse-week/context",
    "cache": "/sessions/fix-parse-week/cache?by=part",
}
"""The name of each picture, and the address of its page."""
SIZE = {"width": 1200, "height": 620}
MOST_BYTES = 150_000
CALLS = 120


def main(folder: Path) -> None:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        sys.exit("screenshots: needs Chromium: apt-get install chromium")
    os.environ["TZ"] = "UTC"
    time.tzset()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        os.environ["HOME"] = name  # no rules or prices of its own
        from sessiontap.cli.commands.ui import open_reading

        trace = coding_session.write(long_session.write(Path(name) / "trace", CALLS))
        with served(lambda: open_reading(None, trace)) as client, sync_playwright() as playwright:
            flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(FLAGS)
            browser = playwright.chromium.launch(executable_path=found, headless=True, args=flags)
            page = browser.new_context(viewport=SIZE, color_scheme="light").new_page()  # type: ignore[arg-type]
            origin = f"http://127.0.0.1:{client.port}"
            page.goto(f"{origin}/?token={client.access.token()}")
            for picture, address in PICTURES.items():
                answer = page.goto(f"{origin}{address}", wait_until="load")
                assert answer is not None
                assert answer.status == 200, address
                file = folder / f"{picture}.png"
                page.screenshot(path=file, animations="disabled")
                if file.stat().st_size > MOST_BYTES:
                    sys.exit(f"screenshots: {file} has {file.stat().st_size:,} bytes, more than {MOST_BYTES:,}")
                print(f"{file}: {file.stat().st_size:,} bytes")
            browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
