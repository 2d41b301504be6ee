"""What is said to the user whose program distrusts, by its runtime."""

from __future__ import annotations

import pytest

from sessiontap.callers import Caller
from sessiontap.proxy.runtimes import OTHERS, needs


@pytest.mark.parametrize(
    ("names", "exe", "part"),
    [
        (("wget",), "/usr/bin/wget", "SYSTEM_WGETRC"),
        (("page.php", "php8.3"), "/usr/bin/php8.3", "PHP_INI_SCAN_DIR"),
        (("app.jar", "java"), "/opt/jdk/bin/java", "JAVA_TOOL_OPTIONS"),
        (("bot.py", "python3"), "/usr/bin/python3.13", "REQUESTS_CA_BUNDLE"),
        (("bot.py",), "/usr/bin/python3.13", "REQUESTS_CA_BUNDLE"),
        (("app.mjs", "node"), "/usr/bin/node", "NODE_EXTRA_CA_CERTS"),
        (("curl",), "/usr/bin/curl", "CURL_CA_BUNDLE"),
        (("agent", "agent.exe"), "/opt/agent", "Go and Rust"),
    ],
)
def test_a_runtime_needs(names: tuple[str, ...], exe: str, part: str) -> None:
    assert part in needs(Caller("c", 1, 1, names[0], names, exe))


def test_a_program_that_is_not_known_gets_the_general_advice() -> None:
    assert needs(None) == OTHERS
