"""Libraries of mitmproxy's that `sessiontap run` loads when they are first used."""

from __future__ import annotations

import subprocess
import sys

import pytest

START = """
import asyncio, sys
from sessiontap.proxy.late_modules import kept_for_later
with kept_for_later():
    from sessiontap.proxy import runner
from mitmproxy.options import Options
from mitmproxy.test import tflow

async def main():
    master = runner.Master(Options())
    options, commands, flow = master.options, master.commands, tflow.tflow(resp=True)
    assert not {"pyparsing.core", "flask", "ldap3.core"} & sys.modules.keys()
"""


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(
            """
    options.update(modify_headers=["/~u address/x-late/yes", "/x-all/yes"])
    specs = master.addons.get("modifyheaders").replacements
    assert len(specs) == 2 and all(spec.matches(flow) for spec in specs)
""",
            id="filters of flows",
        ),
        pytest.param(
            """
    from mitmproxy import exceptions
    try:
        options.update(stickycookie="~nonsense")
    except exceptions.OptionsError as error:
        assert "Invalid filter" in str(error), error
    else:
        raise AssertionError
""",
            id="a filter that is none",
        ),
        pytest.param(
            """
    commands.execute("set listen_port '1234'")
    assert options.listen_port == 1234
""",
            id="commands",
        ),
        pytest.param(
            """
    from mitmproxy import command_lexer, flowfilter
    assert flowfilter.match("~m GET", flow)
    assert flowfilter.TFilter.__module__ == "mitmproxy.flowfilter"
    assert command_lexer.quote("a b") == '"a b"'
""",
            id="a user's script",
        ),
    ],
)
def test_what_was_not_loaded_works_when_it_is_used(use: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{START}{use}\nasyncio.run(main())"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
