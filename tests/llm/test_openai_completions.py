from __future__ import annotations

from tests.llm.llm_exchanges import asked, reply, streamed

from sessiontap.llm.call import Usage

PATH = "/v1/completions"


def test_request() -> None:
    assert asked(PATH, {"model": "m", "prompt": "once"}).message == "once"
    assert asked(PATH, {"model": "m", "prompt": ["once", "twice"]}).message == "twice"
    assert asked(PATH, {"model": "m", "prompt": [1, 2]}).message is None


def test_whole() -> None:
    found = reply(
        PATH,
        {
            "id": "x",
            "model": "m-1",
            "choices": [{"index": 0, "text": " a time", "finish_reason": "length"}, {"index": 1, "text": "no"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2},
        },
    )
    assert (found.text, found.finish_reason, found.response_model, found.usage) == (
        " a time",
        "length",
        "m-1",
        Usage(1, 2),
    )


def test_streamed() -> None:
    events = [{"choices": [{"index": 0, "text": part}]} for part in (" a", " time")]
    end = {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}
    found = streamed(PATH, [*events, end, "[DONE]"])
    assert (found.text, found.finish_reason, found.usage) == (" a time", "stop", None)


def test_fill_in_the_middle_answers_like_a_chat() -> None:
    found = reply(
        "/v1/fim/completions", {"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}]}
    )
    assert found.text == "x"
