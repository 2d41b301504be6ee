"""Credentials are found wherever they stand, and nothing else is touched."""

import base64
import json
import random
import tracemalloc
from collections.abc import Callable

import pytest
from tests.redaction.shaped import KEY, PEM, SHAPED, SHAPELESS, TOKEN, hidden, letters

from sessiontap.exchange import Headers
from sessiontap.redaction import RedactionError, Redactor, replacer


@pytest.mark.parametrize("secret", SHAPED.values(), ids=SHAPED.keys())
@pytest.mark.parametrize(
    "place",
    [
        "{}",
        "my key is {}, keep it",
        "KEY={}",
        "two\n{}\nlines",
        "('{}')",
        "Bearer {}",
        "/v1/keys/{}/usage",
        "https://llm.example/v1?q=1&x={}",
        "openai-insecure-api-key.{}",
    ],
)
def test_a_known_shape_is_found_in_any_text(redactor, place, secret):
    assert hidden(redactor.text(place.format(secret)), secret)


@pytest.mark.parametrize("secret", [*SHAPED.values(), PEM], ids=[*SHAPED.keys(), "pem"])
@pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "utf-8"])
@pytest.mark.parametrize("text", ["{}", "é\n{}\t", '"{}"', "a\\{}", "<{}>", "=\x7f{}="])
def test_json_stays_json(redactor, text, ascii_only, secret):
    document = {"messages": [{"role": "user", "content": text.format(secret)}, {"content": "after"}]}

    found = redactor.body(json.dumps(document, ensure_ascii=ascii_only).encode())

    parsed = json.loads(found)
    assert parsed["messages"][1] == {"content": "after"}
    assert hidden(parsed["messages"][0]["content"], secret)
    assert "q8dXo3" not in found.decode()


@pytest.mark.parametrize("escape", ["\\u003d{}\\u0026", "%3D{}%26", "\\r\\n{}\\r\\n"])
@pytest.mark.parametrize("secret", SHAPED.values(), ids=SHAPED.keys())
def test_escapes_are_no_letters_of_a_word(redactor, escape, secret):
    assert hidden(redactor.body(escape.format(secret).encode()).decode(), secret)


def test_a_private_key_whose_end_was_cut_off_is_hidden_too(redactor):
    assert "q8dXo3" not in redactor.text(PEM[:-30])


@pytest.mark.parametrize(
    "text",
    [
        "task-abcdefghijklmnopqrstuvwxyz0123456789",
        "sk-toggleable__label-arrow-container-fluid",
        "chatcmpl-BxYzAbCdEfGh0123456789 call_abcDEF0123456789 resp_0123456789abcdef msg_01ABCDEFGHIJ0123456789",
        "toolu_01ABCDEFGHIJ0123456789 req_0123456789abcdef0123456789abcdef fp_0123456789",
        "api_key = os.environ['OPENAI_API_KEY']",
        "api_key=self.settings.get_openai_api_key()",
        '{"prompt_cache_key": "conversation-0123456789abcdef", "max_tokens": 1234567890123456789}',
        '{"next_page_token": "0123456789abcdef0123456789abcdef"}',
        "Authorization: Bearer $OPENAI_API_KEY, or Bearer YOUR_API_KEY_GOES_HERE",
        "sorted(items, key=lambda item: item.name)",
        "AKIA is how they begin, AIza too, and eyJ.",
        "gpt-4o-2024-08-06 claude-3-5-sonnet-20241022 0af7651916cd43dd8448eb211c80319c",
        "https://user@host.example/path?page=2&sort=key#top",
        "mail someone@example.com at 12:30",
        "-----BEGIN CERTIFICATE-----\nMIIEow\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_credential_stays(redactor, text):
    assert redactor.text(text) == text
    assert redactor.body(text.encode()) == text.encode()


def test_base64_is_not_damaged(redactor):
    """Images and audio: 16 MB of random bytes in each alphabet hold nothing that looks like a key."""
    chance = random.Random(1)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for _ in range(16):
            data = b'{"image_url": "data:image/png;base64,' + encode(chance.randbytes(1 << 20)) + b'"}'
            assert redactor.body(data) == data


def test_patterns_of_the_rules():
    redactor = Redactor(KEY, patterns=["re:cust-[0-9]{8}", "Project Bluebird", "re:pin=([0-9]{4})"])

    found = redactor.text("cust-12345678 of Project Bluebird, pin=1234")

    assert TOKEN.sub(r"[\1]", found) == "[custom] of [custom], pin=[custom]"


def test_a_pattern_that_is_no_regular_expression_is_refused_in_words():
    with pytest.raises(RedactionError, match="cannot be used"):
        Redactor(KEY, patterns=["re:("])


def test_secrets_are_found_across_the_borders_of_windows(redactor):
    secret = SHAPED["anthropic-key"]
    for before in range(replacer.WINDOW - 120, replacer.WINDOW + 2, 7):
        body = b" " * before + secret.encode() + b" " * 10

        assert secret.encode() not in redactor.body(body)
        assert secret.encode() not in redactor.body(body)


def test_a_clean_history_that_grows_a_secret_is_not_taken_for_clean(redactor):
    history = b"all clean here. " * 40_000
    secret = SHAPED["openai-key"].encode()
    assert redactor.body(history) == history

    for tail in (b" " + secret, secret[:10]):
        assert secret not in redactor.body(history + tail + secret[10:])


@pytest.mark.parametrize(
    "text",
    [
        *(f"my key is {secret}." for secret in SHAPED.values()),
        f"https://me:{SHAPELESS}@git.example/x.git?api_key={SHAPELESS}&a=1",
        f"api_key={SHAPELESS}&b=1",
        f"Cookie: sid={SHAPELESS}; b=1",
        '{"client_secret": "' + SHAPELESS + '"}',
    ],
)
def test_what_is_redacted_stays_as_it_is(redactor, text):
    once = redactor.body(text.encode())

    assert once != text.encode()
    assert redactor.body(once) == once
    assert redactor.text(once.decode()) == once.decode()
    assert redactor.url(once.decode()) == once.decode()


def test_windows_that_were_seen_are_remembered_with_what_they_hold(redactor):
    history = b"all clean here. " * 3000
    secrets = [f"sk-ant-api03-{number:04}{letters(60)}".encode() for number in range(8)]
    body = history
    for secret in secrets:
        body += b" " + secret + b" " + history
        first, again = redactor.body(body), redactor.body(body)
        assert first == again == Redactor(KEY).body(body)
        assert secret not in first


@pytest.mark.parametrize("length", [900, 1000, 1023, 1024, 1025, 3000])
def test_long_values_across_the_border_of_a_window(redactor, length):
    value = (SHAPELESS * 100)[:length]
    for before in (replacer.WINDOW - 30, replacer.WINDOW - 10, replacer.WINDOW):
        body = b" " * before + f'{{"api_key": "{value}"}}'.encode() + b" " * replacer.WINDOW

        assert value[:40].encode() not in redactor.body(body)
        assert value[-40:].encode() not in redactor.body(body)


def test_a_body_of_more_credentials_than_anybody_has_is_cut_short(redactor, monkeypatch):
    """It would take a hundred bytes of memory for each of its own; nothing that follows is shown unsearched."""
    monkeypatch.setattr(replacer, "MOST_HITS", 1_000)
    many = b" ".join(b"password=aB3dE%07d" % number for number in range(3_000))
    found = redactor.body(b'{"text": "' + many + b' the-end"}')
    assert b"aB3dE" not in found
    assert b"the-end" not in found
    assert 1_000 <= found.count(b"[redacted:") < 2_000  # a window more
    assert found.count(b"[redacted:too-many:") == 1


def test_what_is_remembered_of_windows_is_bounded_by_what_they_hold(redactor, monkeypatch):
    monkeypatch.setattr(replacer, "_HITS_REMEMBERED", 3_000)
    windows = redactor._replacer._windows
    for start in range(0, 8_000, 2_000):
        own = Headers([("x-api-key", f"own-{start}-Ab3dE5gH7jK9mN1p")])
        knowing = redactor.with_credentials(own, "https://llm.example/", {})
        knowing.body(b" ".join(b"password=aB3dE%09d" % number for number in range(start, start + 2_000)))
        assert windows.hits == sum(map(len, windows._found.values())) <= 3_000
    assert windows.hits > 1_000


@pytest.mark.parametrize(
    "redact",
    [
        pytest.param(lambda redactor, text: redactor.text(text), id="texts"),
        pytest.param(lambda redactor, text: redactor.header("x-long", text), id="headers"),
        pytest.param(lambda redactor, text: redactor.url(f"https://host/{text}"), id="URLs"),
        pytest.param(lambda redactor, text: redactor.url(f"https://host/?{text}=1"), id="names of parameters"),
        pytest.param(lambda redactor, text: redactor.with_credentials([("x-long", text)]), id="headers of requests"),
    ],
)
def test_long_values_are_not_remembered(redact: Callable[[Redactor, str], object]) -> None:
    redactor = Redactor(b"k" * 32)
    tracemalloc.start()
    try:
        for number in range(100):
            redact(redactor, f"{number}" + "x" * 50_000)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 1_000_000
