"""What calls repeat stands once in the segment and comes back where it was."""

import copy

from sessiontap.trace.shared import MAX_KNOWN, Shared, values_of, whole

CALL = {
    "type": "call",
    "llm": {"tools_offered": ["read_file", "write_file"], "tool_calls": ["read_file"]},
    "changes": [["set", "Helicone-Session-Id", None, "s-1", "rule"]],
    "request": {"headers": [["user-agent", "agent/1"], ["content-length", "1"]], "trailers": None, "body": None},
    "response": {"headers": [["content-type", "application/json"]], "trailers": [["x-sum-of-it", "1"]]},
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


def test_what_comes_again_is_written_once_and_comes_back():
    calls = [copy.deepcopy(CALL) for _ in range(4)]
    for number, call in enumerate(calls):
        call["request"]["headers"][1][1] = str(number)

    records = write(Shared(), *calls)

    assert [record["type"] for record in records] == ["call", "values", "call", "call", "call"]
    assert records[-1]["request"]["headers"] == [2, ["content-length", "3"]]
    assert records[-1]["llm"] == {"tools_offered": 0, "tool_calls": ["read_file"]}
    assert read(records) == calls


def test_a_call_without_anything_that_repeats_is_left_as_it_is():
    call = {"type": "call", "llm": None, "request": {"headers": [["a", "b"]]}, "response": None, "changes": []}

    assert write(Shared(), call, call) == [call, call]


def test_a_number_means_the_same_whatever_could_not_be_written():
    shared = Shared()
    write(shared, CALL)
    shared.thin(CALL)  # its values were never written
    later = CALL | {"changes": [["set", "X-Another-Header", None, "v", "rule"]]}

    assert read(write(shared, CALL, later, later)) == [CALL, later, later]


def test_a_value_that_is_lost_with_its_record_is_left_out():
    _, *rest = [record for record in write(Shared(), CALL, CALL) if record["type"] == "call"]

    (damaged,) = read(rest)

    assert damaged["llm"]["tools_offered"] is None
    assert (damaged["request"]["headers"], damaged["changes"]) == ([], [])


def test_values_that_never_repeat_do_not_fill_the_memory():
    shared = Shared()
    for number in range(MAX_KNOWN + 100):
        write(shared, {"type": "call", "changes": [["set", f"header-{number}", None, None, None]]})

    assert len(shared._numbers) <= MAX_KNOWN
    assert len(write(shared, CALL, CALL)) == 3
