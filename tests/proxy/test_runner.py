"""What `sessiontap run` makes of mitmdump's command line."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence

import pytest
from mitmproxy.options import Options
from mitmproxy.tools import cmdline

from sessiontap.proxy import runner
from sessiontap.proxy.master import TapMaster

FILTERED = ("save_stream_filter", "readfile_filter", "dumper_filter")


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {}),
        (["~q"], dict.fromkeys(FILTERED, "~q")),
        (["~d", "openai"], dict.fromkeys(FILTERED, "~d openai")),
        (["-w", "file", "~s & ~c 500"], dict.fromkeys(FILTERED, "~s & ~c 500")),
    ],
    ids=["none", "a word", "words", "behind options"],
)
async def test_the_filter_behind_the_options(arguments: Sequence[str], options: dict[str, str]) -> None:
    master = TapMaster(Options(), [], with_termlog=False)
    parser: ArgumentParser = cmdline.mitmdump(master.options)
    assert runner.filters(parser.parse_args(arguments)) == options
