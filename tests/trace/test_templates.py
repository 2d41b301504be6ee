"""What calls of one kind have in common stands in their template, and every call comes back as it was."""

import copy

import pytest

from sessiontap.trace.templates import MAX_KINDS, OWN, Templates, full, is_lost

CALL = {
    "type": "call",
    "id": "c",
    "time": 1,
    "session": {"id": "s", "name": "Demo"},
    "conversation": "conversation-1",
    "parent": None,
    "link": {"kind": "continue", "ground": ["a", "b"], "end": b"1"},
    "llm": {"provider": "openai", "usage": {"input": 7, "output": None}, "error": None, "response_id": "r"},
    "outcome": "ok",
    "flags": [],
    "properties": {"app": "a"},
    "state": None,
    "host": "api.openai.com",
    "route": "/v1/chat/completions",
    "request": {"method": "POST", "headers": [], "body": {"size": 9}},
    "response": {"status": 200, "http_version": "HTTP/1.1", "headers": [], "body": {"size": 9}},
}


def changed(**changes):
    """CALL with other values; `llm_usage_input=3` is one of a map within a map."""
    call = copy.deepcopy(CALL)
    for path, value in changes.items():
        *maps, key = path.split("__")
        within = call
        for name in maps:
            within = within[name]
        within[key] = value
    return call


def write(templates, *calls):
    """(values by number, thin calls)"""
    values, thin = {}, []
    for call in calls:
        template, one = templates.thin(call, len(values))
        if template is not None:
            values[len(values)] = template
        templates.written()
        thin.append(one)
    return values, thin


def read(values, thin):
    return [full(one, values) for one in thin]


def test_a_call_holds_what_is_not_its_templates():
    calls = [changed(id=f"c-{number}", llm__response_id=f"r-{number}") for number in range(4)]

    values, thin = write(Templates(), *calls)

    assert len(values) == 1
    assert thin[3] == {
        "type": "call", "id": "c-3", "time": 1, "session": {"id": "s", "name": "Demo"}, "like": 0, "parent": None,
        "llm": {"response_id": "r-3"}, "outcome": "ok", "flags": [],
        "request": {"headers": [], "body": {"size": 9}},
        "response": {"status": 200, "headers": [], "body": {"size": 9}},
    }  # fmt: skip


def test_what_plain_readers_look_for_stands_in_every_call():
    _, thin = write(Templates(), *[CALL] * 9)

    for call in thin:
        assert (call["id"], call["time"], call["session"]["name"]) == ("c", 1, "Demo")
        assert (call["outcome"], call["response"]["status"]) == ("ok", 200)
    assert list(thin[-1])[-2:] == ["request", "response"], "what is long stands last"


def test_a_conversation_has_a_template_of_its_own():
    values, thin = write(Templates(), *[changed(id=str(number), parent=str(number - 1)) for number in range(9)])

    assert [template.get("conversation") for template in values.values()] == ["conversation-1"] * 2
    assert {call.get("like") for call in thin[5:]} == {1}


CHANGES = {
    "nothing": {},
    "a value that is unknown now": {"host": None},
    "an empty map": {"properties": {}},
    "a map with more": {"properties": {"app": "a", "more": "b"}},
    "true for one": {"state": {"n": True}},
    "one for true": {"state": {"n": 1}},
    "no map": {"llm": None},
    "no response": {"response": None},
    "no usage": {"llm__usage": None},
    "another usage": {"llm__usage__output": 3},
    "a key more": {"llm__billed": {"web_searches": 1}},
    "an error": {"llm__error": {"type": "t", "message": "m"}, "response__status": 500, "outcome": "http_error"},
    "flags": {"flags": ["warm_up"]},
    "another conversation": {"conversation": "conversation-2"},
    "no conversation": {"conversation": None},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("before", [0, 1, 2, 3, 5, 6, 7])
def test_every_call_comes_back_as_it_was(before, change):
    calls = [*[CALL] * before, changed(**change), CALL, changed(**change), changed(**change), CALL, changed(**change)]

    found = read(*write(Templates(), *calls))

    assert found == calls
    assert [repr(call["state"]) for call in found] == [repr(call["state"]) for call in calls], "True is not 1"


def test_a_template_that_was_not_written_is_not_leaned_on():
    templates = Templates()
    for _ in range(2):
        templates.thin(CALL, 0)
        templates.written()
    assert templates.thin(CALL, 0)[0] is not None
    # no `written`: the disk was full

    template, thin = templates.thin(CALL, 0)

    assert full(thin, {0: template}) == CALL


def test_the_next_segment_begins_without():
    templates = Templates()
    write(templates, *[CALL] * 9)
    templates.clear()

    assert write(templates, CALL) == ({}, [CALL])


def test_a_call_whose_template_is_lost_has_the_less():
    values, thin = write(Templates(), *[CALL] * 4)

    lost = full(thin[-1], {})

    assert (is_lost(thin[-1], {}), is_lost(thin[-1], values)) == (True, False)
    assert (lost["id"], lost["outcome"], "like" in lost, "host" in lost) == ("c", "ok", False, False)


def test_kinds_that_never_come_again_do_not_fill_the_memory():
    templates = Templates()
    for number in range(MAX_KINDS * 2):
        templates.thin(changed(host=f"host-{number}", conversation=f"c-{number}"), 0)

    assert len(templates._kinds) == MAX_KINDS


def test_no_template_has_what_stands_in_every_call():
    values, _ = write(Templates(), *[CALL] * 9)

    for template in values.values():
        for where, own in OWN.items():
            assert not own & set(template if where is None else template.get(where) or ())
