"""What `sessiontap run` makes of mitmdump's command line."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

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


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, 8080, id="nothing is named"),
        pytest.param({"mode": ["upstream:http://proxy.example:3128"]}, 8080, id="another mode of a plain proxy"),
        pytest.param({"listen_port": 8080}, None, id="the option"),
        pytest.param({"mode": ["regular@8080"]}, None, id="in the mode"),
        pytest.param({"mode": ["regular", "socks5"]}, None, id="several modes"),
        pytest.param({"mode": ["reverse:http://localhost:11434"]}, None, id="a mode whose address programs are given"),
    ],
)
async def test_a_port_is_chosen_only_if_nobody_names_one(given: dict[str, Any], expected: int | None) -> None:
    options = TapMaster(Options(), [], with_termlog=False).options
    options.update(**given)
    assert runner.unnamed_port(options) == expected


async def test_what_the_command_line_does_not_know_is_a_sentence_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    options = TapMaster(Options(), [], with_termlog=False).options
    with pytest.raises(SystemExit) as ended:
        runner.command_line(options).parse_args(["--lisen-port", "8080"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "sessiontap: unrecognized arguments: --lisen-port\nhint: sessiontap run -h shows what it takes\n"
    )
