"""What calls cost, as the commands show it: by the price list, by `prices:` of the rules file, or why it is unknown."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.cli import recorded
from tests.cli.command import Run
from tests.cli.recorded import COURSE, REPORT, call_id

from sessiontap.cli.call_costs import Costs

PRICES = "prices: {'gpt-4o-*': {input: 1000, output: 2000}}\n"
BROKEN = "prices: {m: {input: 1}}\n"


def rows(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_calls_have_their_price(run: Run) -> None:
    assert [row["cost_usd"] for row in rows(run("calls", "--json")[1])] == [0.0, 0.00045, None, 0.00036, 0.000027]


def test_sessions_and_paths_sum_them_up_and_say_what_is_left_out(run: Run) -> None:
    shown = json.loads(run("show", COURSE, "--json")[1])
    assert (shown["session"]["cost_usd"], shown["session"]["cost_unknown_calls"]) == (0.000387, 1)
    assert shown["cost_unknown"] == {"no usage was reported": 1}
    assert shown["session"]["cost_parts"] == {
        "input": 0.000195, "cache_read": 0.0, "cache_write": 0.0, "output": 0.000192, "other": 0.0
    }  # fmt: skip
    assert shown["tree"][0]["cost_usd"] == 0.000387
    assert shown["tree"][0]["children"][0]["cost_usd"] == 0.00036


def test_sessions_are_sorted_by_cost(run: Run) -> None:
    assert [row["id"] for row in rows(run("ls", "--json", "--sort", "cost")[1])] == [REPORT, COURSE]


def test_tail_says_it_too(run: Run) -> None:
    assert [row["cost_usd"] for row in rows(run("tail", "-n", "2", "--json")[1])] == [0.00045, 0.0]


@pytest.mark.parametrize(
    ("call", "told", "known"),
    [
        (
            4,
            "cost       $0.00045 (by genai-prices; input $0.0003, output $0.0002)\n",
            (0.00045, "genai-prices", None),
        ),
        (3, "cost       unknown: no usage was reported\n", (None, None, "no usage was reported")),
        (
            5,
            "cost       $0.00 (the call was refused before a model ran)\n",
            (0.0, "not charged", "the call was refused before a model ran"),
        ),
    ],
    ids=["known", "unknown", "not charged"],
)
def test_cat_says_whence_a_cost_comes_or_why_it_is_unknown(
    run: Run, call: int, told: str, known: tuple[Any, ...]
) -> None:
    assert told in run("cat", call_id(call))[1]
    row = json.loads(run("cat", call_id(call), "--json")[1])
    assert (row["cost_usd"], row["cost_source"], row["cost_reason"]) == known


@pytest.mark.parametrize("named", ["option", "environment", "folder"])
def test_prices_of_the_rules_come_first(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    file = (Path.cwd() if named == "folder" else tmp_path) / "rules.yaml"
    file.write_text(PRICES)
    if named == "environment":
        monkeypatch.setenv("SESSIONTAP_RULES", str(file))
    option = ["--rules", str(file)] if named == "option" else []
    for command in (["calls", "--json", "-n", "2"], ["cat", call_id(4), "--json"], ["ls", "--json", "-n", "1"]):
        status, out, err = run(*command, *option)
        assert (status, err) == (0, "")
        assert 0.14 in [row["cost_usd"] for row in rows(out)]  # 100 x 1000 + 20 x 2000 by a million


@pytest.mark.parametrize("command", [["ls"], ["calls"], ["show", COURSE], ["cat", call_id(4)], ["tail"]])
def test_broken_rules_cost_their_prices_alone_and_a_line(run: Run, command: list[str]) -> None:
    Path("rules.yaml").write_text(BROKEN)
    status, out, err = run(*command)
    assert (status, bool(out)) == (0, True)
    assert err == (
        "sessiontap: costs go without the prices of the rules: rules.yaml:1:13: prices.m: the key 'output' is missing\n"
    )


@pytest.mark.parametrize("content", [BROKEN, None], ids=["broken", "missing"])
def test_rules_that_are_asked_for_have_to_be_there(run: Run, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "mine.yaml"
    if content is not None:
        file.write_text(content)
    status, out, err = run("ls", "--rules", str(file))
    assert (status, out) == (2, "")
    assert str(file) in err


def test_another_version_where_prices_are_others(tmp_path: Path) -> None:
    versions = []
    for number, text in enumerate((PRICES, PRICES + "rules: []\n", PRICES.replace("1000", "1001"), "rules: []\n")):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        versions.append(Costs.by(file).version)
    assert versions[0] == versions[1]
    assert len({*versions, Costs().version}) == 3
    assert versions[3] == Costs().version


def test_a_list_without_prices_to_tell_loads_none(tmp_path: Path) -> None:
    silent = [replace(call, reply=None) for call in recorded.calls()]
    trace = recorded.write(tmp_path / "trace", silent)
    code = (
        "import sys; from sessiontap.cli.main import main; status = main(['ls', '--json', '--trace', sys.argv[1]]);"
        "print(status, *sorted({'genai_prices', 'yaml'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(trace)], capture_output=True, text=True, check=True)
    assert (len(done.stdout.splitlines()), done.stderr) == (2, "0\n")
