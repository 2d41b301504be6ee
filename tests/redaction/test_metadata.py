"""`capture: metadata` keeps what a call took and how it ended, and nothing that anybody said."""

import json
from dataclasses import fields, replace

import pytest
from tests.recording.test_record import CALLER, SEEN, everywhere
from tests.sessions.talk import Talk, chat
from tests.support.call_spec import RequestSpec, call_record

from sessiontap.exchange import Headers
from sessiontap.llm.history import DelegatedPrompt, ReplyFingerprint
from sessiontap.llm.response_facts import rate_limits
from sessiontap.recording.record import caller_record
from sessiontap.redaction import Redactor
from sessiontap.redaction.metadata import CALLER as CALLER_FIELDS
from sessiontap.redaction.metadata import KEPT, NOT_CAPTURED, caller_of, metadata_of
from sessiontap.rules.decision import Decision
from sessiontap.sessions.conversations import to_state
from sessiontap.sessions.match_scope import MatchScope

REDACTOR = Redactor(b"k" * 32)
SAID = "strictly-between-us"
BELONGS_TO_ITS_PARENT = (
    *("session.", "gateway.", "counted.", "llm.usage.", "llm.billed.", "llm.rate_limits."),
    *("request.body.", "response.body."),
)


def link() -> dict[str, object]:
    """All that a link may hold."""
    talk = Talk(scope=MatchScope("process 1", "openai-chat", session="run"))
    talk.ask("one", chat("s Be brief", "u Hello", prompt_cache_key="agents-sdk:run:one"))
    scope, call, history, _ = talk.asked["one"]
    values = {
        field.name: b"digest"
        for field in fields(ReplyFingerprint)
        if field.name in ("key", "outline", "digest", "pair")
    }
    ending = ReplyFingerprint(
        **values, delegated=(DelegatedPrompt(b"digest", SAID, "call-1"),), failed=True, retryable=True, incomplete=True
    )
    kept = to_state(scope, call, replace(history, settings=b"s"), ending)
    return {"kind": "new", "root": "c", "lineage": [SAID]} | kept


def full(**changes: object) -> dict[str, object]:
    """A record in which every field has a value."""
    response = replace(SEEN.response, headers=Headers([("x-request-id", "r"), ("retry-after", "3")]))
    return call_record(replace(SEEN, response=response, link_state=link(), **changes), REDACTOR)


def places(values: dict[str, object], before: str = "") -> set[str]:
    found = set()
    for key, value in values.items():
        found.add(before + key)
        if isinstance(value, dict) and before + key not in ("properties", "state"):
            found |= places(value, f"{before}{key}.")
    return found


def test_every_field_of_a_record_is_metadata_or_not() -> None:
    """A field that is added has to be judged; until then it is left out."""
    found = {place for place in places(full()) if not place.startswith(BELONGS_TO_ITS_PARENT)}

    assert found == set(KEPT)


def test_a_field_that_nobody_judged_is_left_out() -> None:
    assert metadata_of({"type": "call", "notes": SAID, "llm": {"thoughts": [SAID]}}) == {
        "type": "call",
        "notes": None,
        "llm": {"thoughts": []},
    }


METADATA = full(decision=Decision(capture="metadata", rules=("one", "#2"), set_by={"gateway": "one"}))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("session", {"id": "session-1", "name": "Demo", "path": "/a/b", "step": 3, "source": "app",
                     "renamed_to": "Other", "key": "k"}),
        ("link", {"kind": "new", "root": "c"}),
        ("llm.request_model", "gpt-4o"),
        ("llm.usage", {"input": 3, "output": 4, "cache_read": None, "cache_write": None, "reasoning": None}),
        ("llm.error", {"type": "server_error", "message": None}),
        ("llm.tools_offered", []),
        ("llm.tool_calls", []),
        ("llm.tool_call_ids", []),
        ("llm.tool_results", []),
        ("llm.problems", []),
        ("llm.request_id", "r"),
        ("llm.rate_limits", {"retry-after": "3"}),
        ("properties", {"mode": "x"}),
        ("changes", [["set", "Helicone-Session-Id", None, NOT_CAPTURED, "one"],
                     ["route", None, "api.openai.com", "https://oai.helicone.ai:443", "one"]]),
        ("request.method", "POST"),
        ("response.status", 200),
        ("response.trailers", [["x-sum", NOT_CAPTURED]]),
        ("response.body", {"size": 14, "wire": "gzip"}),
        ("duration", 9),
        ("counted", {"cost_usd": 0.5}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_left_of_a_call(place: str, value: object) -> None:
    found: object = METADATA
    for key in place.split("."):
        assert isinstance(found, dict)
        found = found[key]

    assert found == value


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://h.example/v1/chat?user=ada&q=why", "https://h.example/v1/chat"),
        ("https://ada:pw@h.example:8443/v1#part", "https://h.example:8443/v1"),
        ("https://h.example", "https://h.example"),
        ("https://h.example/a@b/c", "https://h.example/a@b/c"),
        ("https://h.example/r?to=http://other", "https://h.example/r"),
        ("/v1/chat?x=1", "/v1/chat"),
    ],
)
def test_of_a_url_the_host_and_path_are_kept(url: str, kept: str) -> None:
    assert metadata_of({"request": {"url": url}})["request"]["url"] == kept


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("Content-Type", True), ("X-RateLimit-Remaining-Tokens", True), ("x-stainless-lang", True),
        ("Request-Id", True), ("User-Agent", True), ("X-Customer", False), ("Referer", False), ("Cookie", False),
        ("Authorization", False), ("x-session-title", False),
    ],
)  # fmt: skip
def test_of_headers_the_names_are_kept_and_known_values(name: str, kept: bool) -> None:
    for side in ("request", "response"):
        found = metadata_of({side: {"headers": [[name, SAID]]}})[side]["headers"]
        assert found == [[name, SAID if kept else NOT_CAPTURED]]


def test_limits_are_metadata_as_headers_and_as_fields() -> None:
    """Otherwise one place would keep what the other leaves out."""
    names = "x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-limit", "retry-after"
    headers = Headers([(name, "1") for name in names])
    assert set(rate_limits(headers) or ()) == {
        name for name, value in metadata_of({"response": {"headers": headers}})["response"]["headers"]
        if value != NOT_CAPTURED
    }  # fmt: skip


def test_nothing_that_was_said_is_in_what_is_kept() -> None:
    """Wherever content stands but for the session and the settings, which the rules set."""
    seen = everywhere(SAID)
    filled = SEEN.filled
    request = RequestSpec("POST", f"https://h.example/v1?q={SAID}", "HTTP/1.1", seen.request.headers, seen.request.body)
    seen = replace(
        seen, request=request, filled=filled, session=SEEN.session, proxy_user=None,
        call=replace(seen.call, asked=replace(seen.call.asked, model="m")), link_state=link(),
        decision=Decision(capture="metadata"),
    )  # fmt: skip

    assert SAID not in json.dumps(call_record(seen, REDACTOR))


def test_of_a_caller_the_program_is_kept_and_not_its_command_line() -> None:
    record = caller_of(caller_record(replace(CALLER, argv=("bot", SAID), cwd=f"/{SAID}", env={"TEXT": SAID}), REDACTOR))

    assert SAID not in json.dumps(record)
    assert (record["name"], record["argv"], record["cwd"], record["env"]) == ("bot.py", [], None, {})
    assert set(record) >= CALLER_FIELDS
