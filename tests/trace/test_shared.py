"""What calls repeat stands once in the segment and comes back where it was."""

import copy

import pytest

from sessiontap.trace.shared import MAX_KNOWN, Shared, values_of, whole

CALL = {
    "type": "call",
    "id": "call-1",
    "llm": {"tools_offered": ["read_file", "write_file"], "tool_calls": ["read_file"]},
    "changes": [["set", "Helicone-Session-Id", None, "s-1", "rule"]],
    "request": {"headers": [["user-agent", "agent/1"], ["content-length", "1"]], "trailers": None, "body": None},
    "response": {"headers": [["content-type", "application/json"]], "trailers": [["x-sum-of-it", "1"]], "body": None},
}


def write(shared, *calls):
    """The records of `calls` as a segment holds them."""
    records = []
    for call in calls:
        values, thin = shared.thin(call)
        records += [thin] if values is None else [values, thin]
        shared.written()
    return records


def read(records):
    values = {}
    for record in records:
        values |= values_of(record) if record["type"] == "values" else {}
    return [whole(record, values) for record in records if record["type"] == "call"]


def numbered(count, **changes):
    """Calls that have a header's value and an id of their own."""
    calls = [copy.deepcopy(CALL | changes) for _ in range(count)]
    for number, call in enumerate(calls):
        call["id"] = f"call-{number}"
        call["request"]["headers"][1][1] = str(number)
    return calls


def test_what_comes_again_is_written_once_and_comes_back():
    calls = numbered(4)

    records = write(Shared(), *calls)

    assert [record["type"] for record in records] == ["call", "values", "call", "values", "call", "call"]
    values = {number: value for record in records for number, value in values_of(record).items()}
    assert records[2]["llm"] == {"tools_offered": 0, "tool_calls": ["read_file"]}
    assert values[0] == ["read_file", "write_file"]
    agent, length = records[-1]["request"]["headers"]
    assert (values[agent], values[length[0]], length[1]) == (["user-agent", "agent/1"], "content-length", "3")
    assert read(records) == calls


def test_a_call_without_anything_that_repeats_is_left_as_it_is():
    call = {"type": "call", "llm": None, "request": {"headers": [["a", "b"]]}, "response": None, "changes": []}

    assert write(Shared(), call, call) == [call, call]


def test_a_number_means_the_same_whatever_could_not_be_written():
    shared = Shared()
    write(shared, CALL)
    for _ in range(4):
        shared.thin(CALL)  # its values, and its template, were never written
    later = CALL | {"changes": [["set", "X-Another-Header", None, "v", "rule"]]}

    assert read(write(shared, CALL, later, later, CALL, later)) == [CALL, later, later, CALL, later]


def test_a_value_that_is_lost_with_its_record_is_left_out():
    _, *rest = [record for record in write(Shared(), CALL, CALL) if record["type"] == "call"]

    (damaged,) = read(rest)

    assert damaged["llm"]["tools_offered"] is None
    assert (damaged["request"]["headers"], damaged["changes"]) == ([], [])


def test_a_field_whose_name_is_lost_is_left_out():
    *_, last = write(Shared(), *numbered(3))

    assert whole(last, {})["request"]["headers"] == []


def test_values_that_never_repeat_do_not_fill_the_memory():
    shared = Shared()
    for number in range(MAX_KNOWN + 100):
        write(shared, {"type": "call", "changes": [["set", f"header-{number}", None, None, None]]})

    assert len(shared._numbers) <= MAX_KNOWN
    assert len(write(shared, CALL, CALL)) == 3


SAID = {"request_id": "req_1", "rate_limits": {"x-ratelimit-limit": "9", "x-ratelimit-remaining": "8"}}
HEADERS = [["X-RateLimit-Limit", "9"], ["X-RateLimit-Remaining", "8"], ["Request-Id", "req_1"]]


def test_what_a_header_says_as_well_is_written_once():
    calls = numbered(5, llm=SAID, response={"headers": HEADERS, "body": None})

    *_, last = records = write(Shared(), *calls)

    assert not {"req_1", "9", "8"} & set(str(last.get("llm")).split("'"))
    assert read(records) == calls


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([["x-ratelimit-limit", "9"], *HEADERS[2:]], id="one is missing"),
        pytest.param([*HEADERS[:2], ["x-request-id", "[redacted]"]], id="another id"),
        pytest.param([["x-ratelimit-limit", "10"], *HEADERS], id="another value first"),
        pytest.param([], id="none"),
    ],
)
def test_what_the_headers_do_not_say_stays(headers):
    calls = numbered(5, llm=SAID, response={"headers": headers, "body": None})

    assert read(write(Shared(), *calls)) == calls
