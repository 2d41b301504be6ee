"""Recorded exchanges with real services, under rules and with expectations that were written by hand.

Each file of the recording is a process, whose exchanges follow one another. The expected numbers are those of the
recording's own expectations: 30 exchanges with Anthropic, 4 of the family of OpenAI's embeddings.
"""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.backtest.made_log import Ask, backtest, made_log, process

from sessiontap import trace
from sessiontap.backtest.expectations import load_expectations
from sessiontap.exchange import Headers
from sessiontap.llm.content_encoding import decode

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
HERE = Path(__file__).parent
FILE = CORPUS / "openinference.jsonl.gz"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"no recorded exchanges in {CORPUS}")
RULES = (HERE / "corpus-rules.yaml").read_text(encoding="utf-8")


def body_of(message: dict[str, Any]) -> bytes:
    data = base64.b64decode(message["body_b64"]) if "body_b64" in message else (message.get("body") or "").encode()
    return decode(data, Headers(message["headers"]).get("content-encoding")).data


def asks() -> list[Ask]:
    processes: dict[str, Any] = {}
    found: list[Ask] = []
    with gzip.open(FILE) as lines:
        for line in map(json.loads, lines):
            url, sent, came = urlsplit(line["request"]["url"]), line["request"], line["response"]
            if line["expect"]["provider"] in (None, "ollama"):
                continue  # no host that is known
            file = line["id"].rpartition("#")[0]
            caller = processes.setdefault(file, process(len(processes) + 10, file.rpartition("/")[2]))
            kept = [pair for pair in came["headers"] if pair[0].lower() != "content-encoding"]
            found.append(
                Ask(
                    float(len(found)),
                    caller,
                    raw=(body_of(sent), body_of(came)),
                    method=sent["method"],
                    host=url.hostname or "",
                    target=(url.path or "/") + (f"?{url.query}" if url.query else ""),
                    status=came["status"],
                    reply_headers=tuple(map(tuple, kept)),
                )
            )
    return found


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> trace.Trace:
    return made_log(tmp_path_factory.mktemp("corpus"), RULES, asks())


def test_with_the_rules_of_its_recording_nothing_would_change_and_all_expectations_hold(log: trace.Trace) -> None:
    expectations = load_expectations(HERE / "corpus-expectations.yaml")
    report = backtest(log, RULES, listeners=[expectations.add])
    expectations.finish()
    assert (report.changes, list(report.sessions.changes()), report.uncertain) == ({}, [], 0)
    assert report.calls == 262
    assert [str(one) for one in expectations.failures] == []


def test_other_rules_fail_the_expectations_that_they_break_and_no_others(log: trace.Trace) -> None:
    expectations = load_expectations(HERE / "corpus-expectations.yaml")
    changed = RULES.replace("name: Claude", "name: Anthropic")
    report = backtest(log, changed, listeners=[expectations.add])
    expectations.finish()
    assert {one.expectation for one in expectations.failures} == {"Claude"}
    assert {(one.field, one.before, one.after, group.calls) for one, group in report.changes.items()} == {
        ("session.name", "Claude", "Anthropic", 30)
    }
