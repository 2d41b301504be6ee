"""`sessiontap push otlp`, from a log to a collector on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.command import Run, runner
from tests.push.logs import START, log_of
from tests.push.otlp_collector import Collector, attributes_of, partly, served
from tests.readers.session import AGENT, INPUT, MODEL, OUTPUT, calls

from sessiontap.exchange import Headers
from sessiontap.push.target import HttpReply

KEY = "s3cret-of-the-collector"
CHAT = f"chat {MODEL}"


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = log_of(tmp_path / "trace", *calls("session-1", START).values())
    return runner(capsys, monkeypatch, "push", trace=folder)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    found = Collector()
    with served(found) as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-api-key={KEY}")
        yield found


def test_a_log_arrives_as_trees_of_spans(run: Run, collector: Collector) -> None:
    done = run("otlp", "--content")
    assert (done.status, done.out) == (0, "6 calls and 2 complete user turns sent to otlp\n")
    names = sorted(span.name for span in collector.spans.values())
    main, explore, read = f"invoke_agent {AGENT}", "invoke_agent explore", "execute_tool Read"
    assert names == sorted([*[CHAT] * 6, main, main, explore, read, read, "execute_tool Grep", "execute_tool Task"])
    ids = set(collector.spans)
    assert all(span.parent_span_id in ids for span in collector.spans.values() if span.parent_span_id)
    assert collector.urls == ["/v1/traces"]
    assert collector.headers[0].get("x-api-key") == KEY


def test_sums_over_its_spans_are_those_of_the_log(run: Run, collector: Collector) -> None:
    run("otlp")
    found = [attributes_of(span) for span in collector.spans.values()]
    assert sum(one.get("gen_ai.usage.input_tokens", 0) for one in found) == INPUT
    assert sum(one.get("gen_ai.usage.output_tokens", 0) for one in found) == OUTPUT
    assert sum(one.get("sessiontap.cost.usd", 0) for one in found) == pytest.approx(0.010875)


def test_sent_again_it_is_the_same_spans(run: Run, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    run("otlp")
    before = {id: span.SerializeToString(deterministic=True) for id, span in collector.spans.items()}
    with served(collector) as other:  # a target that has got nothing yet
        run("otlp", "--endpoint", other)
    assert collector.received == 2 * len(before)
    assert {id: span.SerializeToString(deterministic=True) for id, span in collector.spans.items()} == before


def test_without_content_it_sends_nothing_that_was_said(run: Run, collector: Collector) -> None:
    run("otlp")
    sent = b"".join(request.SerializeToString() for request in collector.requests)
    for said in (b"Fix the dates", b"And the times", b"import datetime", b"a.py", b"I look", b"3 uses", b"Overloaded"):
        assert said not in sent
    assert b"overloaded_error" in sent


def test_the_key_stands_in_no_span_and_no_message(run: Run, collector: Collector) -> None:
    collector.answers = [HttpReply(401, Headers(), b"no such key")]
    refused = run("otlp")
    assert refused.status == 1
    sent = b"".join(request.SerializeToString() for request in collector.requests)
    assert KEY.encode() not in sent
    assert KEY not in refused.out + refused.err + run("status", "--json").out


def test_spans_that_a_collector_rejects_are_told(run: Run, collector: Collector) -> None:
    collector.answers = [partly(2, "too old")]
    assert run("otlp").status == 1
    (row,) = run("status", "--json").rows
    (one,) = row["set_aside"]
    assert one["call"] == "session-1-a"
    assert one["reason"].startswith("2 of the 13 spans in the request with this call were rejected")


def test_without_opentelemetrys_packages_it_says_which_to_install(
    run: Run, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("sessiontap.push.targets.otlp", "sessiontap.push.otlp_http"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    done = run("otlp")
    assert done.status == 2
    assert "pip install 'sessiontap[otlp]'" in done.err


def test_a_collector_that_takes_no_large_request_gets_small_ones(run: Run, collector: Collector) -> None:
    collector.answers = [HttpReply(413, Headers(), b""), HttpReply(413, Headers(), b"")]
    assert run("otlp").status == 0
    assert len(collector.spans) == 13
    assert len(collector.requests) == 5  # the whole, a half, two quarters, the other half
