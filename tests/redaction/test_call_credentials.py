"""A call's own credentials are found wherever the call repeats them."""

import base64
from urllib.parse import quote

import pytest
from tests.redaction.shaped import SHAPELESS, hidden

OWN = [
    ("api-key", SHAPELESS, SHAPELESS),
    ("Authorization", f"Bearer {SHAPELESS}", SHAPELESS),
    ("Authorization", "Basic " + base64.b64encode(b"me:correct-Horse-9-battery").decode(), "correct-Horse-9-battery"),
    ("Cookie", f"a=1; sid={SHAPELESS}", SHAPELESS),
    ("x-vendor-token", "aB+/3xY/+dEf0123456789==", "aB+/3xY/+dEf0123456789=="),
]


@pytest.mark.parametrize("place", ["{}", 'wrong key: "{}".', "a{}b", "?k={}"])
@pytest.mark.parametrize(("name", "value", "secret"), OWN, ids=[f"{name} {value[:6]}" for name, value, _ in OWN])
def test_a_calls_own_credentials_are_found_anywhere(redactor, name, value, secret, place):
    knowing = redactor.with_credentials([("accept", "*/*"), (name, value)], "https://h.example/")

    for written in (secret, quote(secret, safe=""), secret.replace("/", "\\/")):
        text = place.format(written)
        assert redactor.text(text) == text
        assert hidden(knowing.text(text), written)
        assert hidden(knowing.body(text.encode()).decode(), written)
        assert hidden(knowing.body(b"x " * 40_000 + text.encode()).decode(), written)
    assert redactor.text(secret) == secret, "another call's redactor knows nothing of it"


def test_own_credentials_of_urls_and_environments(redactor):
    env = {"DB_PASSWORD": "correct-Horse-9-battery"}
    knowing = redactor.with_credentials([], f"https://h.example/?key={SHAPELESS}", env)

    assert hidden(knowing.text(f"no such key: {SHAPELESS}"), SHAPELESS)
    assert hidden(knowing.header("x-error", "bad correct-Horse-9-battery"), "correct-Horse-9-battery")
    assert knowing.text(SHAPELESS) == redactor.token("key", SHAPELESS.encode())


@pytest.mark.parametrize("word", ["ollama", "not-needed", "sk-none", "theme-dark", "1234567890123456"])
def test_a_placeholder_does_not_take_its_word_out_of_prompts(redactor, word):
    knowing = redactor.with_credentials(
        [("Authorization", f"Bearer {word}"), ("cookie", f"a={word}")], "https://h.example/"
    )

    assert knowing.body(f"we run {word} here".encode()) == f"we run {word} here".encode()
