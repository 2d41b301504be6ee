"""Credentials are found wherever they stand, and nothing else is touched."""

import base64
import gzip
import json
import random
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.llm.llm_frames import error, event

from sessiontap.exchange import Headers
from sessiontap.llm.eventstream import frames
from sessiontap.redaction import RedactionError, Redactor, fragments, replacer

KEY = b"k" * 32
TOKEN = re.compile(r"\[redacted:([\w.-]+):([0-9a-f]{10})\]")


def letters(count: int, alphabet: str = "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8") -> str:
    return (alphabet * 10)[:count]


JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow/IBAAK+CAQEA\nq8dXo3==\n-----END RSA PRIVATE KEY-----"

# Made up, in the shape of the real ones; put together here so that no scanner takes this file for a leak.
SHAPED = {
    "openai-key": "sk-" + letters(48),
    "openai-project": "sk-" + "proj-" + letters(60) + "_" + letters(60) + "-x",
    "anthropic-key": "sk-" + "ant-api03-" + letters(80) + "-" + letters(10) + "AA",
    "openrouter-key": "sk-" + "or-v1-" + "0123456789abcdef" * 4,
    "helicone-key": "sk-" + "helicone-abcdefg-1234567-hijklmn-89opqrs",
    "helicone-read-key": "pk-" + "helicone-eu-abcdefg-1234567-hijklmn-89opqrs",
    "langfuse-secret": "sk-" + "lf-01234567-89ab-cdef-0123-456789abcdef",
    "langfuse-public": "pk-" + "lf-01234567-89ab-cdef-0123-456789abcdef",
    "deepseek-key": "sk-" + "0123456789abcdef" * 2,
    "groq-key": "gsk" + "_" + letters(52),
    "google-key": "AI" + "zaSyA1-" + letters(30),
    "google-token": "ya29" + ".a0AfH6SM-" + letters(60),
    "aws-key-id": "AK" + "IAIOSFODNN7EXAMPLE",
    "aws-session-key-id": "AS" + "IAIOSFODNN7EXAMPLE",
    "bedrock-key": "AB" + "SK" + base64.b64encode(b"BedrockAPIKey-x1y2-at-123456789012:" + b"s3cr3t" * 8).decode(),
    "github-token": "gh" + "p_" + letters(36),
    "github-fine-grained": "github" + "_pat_" + letters(22) + "_" + letters(59),
    "gitlab-token": "gl" + "pat-" + letters(20),
    "slack-token": "xox" + "b-123456789012-123456789012-" + letters(24),
    "huggingface-token": "hf" + "_" + letters(34),
    "replicate-token": "r8" + "_" + letters(37),
    "nvidia-key": "nv" + "api-" + letters(60),
    "perplexity-key": "pp" + "lx-" + letters(48),
    "xai-key": "x" + "ai-" + letters(80),
    "fireworks-key": "fw" + "_" + letters(24),
    "cerebras-key": "c" + "sk-" + letters(48),
    "stripe-key": "sk" + "_live_" + letters(24),
    "together-key": "tgp" + "_v1_" + letters(43),
    "npm-token": "np" + "m_" + letters(36),
    "langsmith-key": "lsv2" + "_pt_" + "0123456789abcdef" * 2 + "_0123456789",
    "tavily-key": "tv" + "ly-" + letters(32),
    "pinecone-key": "pc" + "sk_" + letters(6) + "_" + letters(60),
    "jwt": JWT,
}
SHAPELESS = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
"""A key without a shape, such as Azure's: found by the name that it stands under."""


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(KEY)


def hidden(text: str, secret: str) -> bool:
    """The secret is gone, and a token stands for it."""
    return secret not in text and TOKEN.search(text) is not None


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


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Authorization", f"Bearer {SHAPED['openai-key']}", "Bearer [openai-key]"),
        ("Authorization", f"Bearer {SHAPELESS}", "Bearer [authorization]"),
        ("authorization", "Basic dXNlcjpwYXNzd29yZA==", "Basic [authorization]"),
        ("authorization", SHAPELESS, "[authorization]"),
        ("Proxy-Authorization", "Basic dXNlcjpwYXNzd29yZA==", "Basic [proxy-authorization]"),
        ("x-api-key", SHAPED["anthropic-key"], "[anthropic-key]"),
        ("API-Key", SHAPELESS, "[api-key]"),
        ("x-goog-api-key", SHAPED["google-key"], "[google-key]"),
        ("Helicone-Auth", f"Bearer {SHAPED['helicone-key']}", "Bearer [helicone-key]"),
        ("X-Amz-Security-Token", "IQoJb3JpZ2luX2VjEJr", "[x-amz-security-token]"),
        ("X-Vendor-Access-Token", "short", "[x-vendor-access-token]"),
        ("x-litellm-api-key", SHAPELESS, "[x-litellm-api-key]"),
        ("Cookie", "__cf_bm=abc.1; theme=dark", "__cf_bm=[cookie]; theme=[cookie]"),
        ("cookie", "nameless", "[cookie]"),
        ("Set-Cookie", "__cf_bm=abc.1; path=/; HttpOnly", "__cf_bm=[set-cookie]; path=/; HttpOnly"),
        (
            "Authorization",
            f"AWS4-HMAC-SHA256 Credential={SHAPED['aws-key-id']}/20260101/us-east-1/bedrock/aws4_request, "
            f"SignedHeaders=host;x-amz-date, Signature={'0123456789abcdef' * 4}",
            "AWS4-HMAC-SHA256 Credential=[aws-key-id]/20260101/us-east-1/bedrock/aws4_request, "
            "SignedHeaders=host;x-amz-date, Signature=[credential]",
        ),
        ("Location", f"https://x.example/cb?code={SHAPELESS}&state=1", "https://x.example/cb?code=[code]&state=1"),
        ("Sec-WebSocket-Protocol", f"realtime, openai-insecure-api-key.{SHAPED['openai-key']}",
         "realtime, openai-insecure-api-key.[openai-key]"),
        ("Idempotency-Key", "stainless-python-retry-0123", "stainless-python-retry-0123"),
        ("x-ratelimit-remaining-tokens", "149984", "149984"),
        ("x-amzn-bedrock-input-token-count", "28", "28"),
        ("Content-Type", "application/json", "application/json"),
        ("Authorization", "", ""),
        ("Authorization", "[redacted:openai-key:0123456789]", "[redacted:openai-key:0123456789]"),
    ],
)  # fmt: skip
def test_headers(redactor, name, value, expected):
    found = redactor.header(name, value)

    assert TOKEN.sub(r"[\1]", found) == TOKEN.sub(r"[\1]", expected)


def test_headers_that_the_rules_name():
    redactor = Redactor(KEY, header_names=["X-Token-Of-Mine"])

    assert hidden(redactor.header("x-token-of-mine", "secret"), "secret")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"https://g.example/v1/m:generate?key={SHAPELESS}&alt=sse", "https://g.example/v1/m:generate?key=[key]&alt=sse"),
        (f"https://a.example/x?api_key={SHAPELESS}", "https://a.example/x?api_key=[api_key]"),
        ("https://a.example/x?access_token=ab", "https://a.example/x?access_token=[access_token]"),
        ("https://s3.example/o?X-Amz-Signature=00f&b=1", "https://s3.example/o?X-Amz-Signature=[x-amz-signature]&b=1"),
        ("https://blob.example/o?sv=2024&sig=aB%2F3", "https://blob.example/o?sv=2024&sig=[sig]"),
        ("https://user:pass@host.example:8080/x", "https://user:[password]@host.example:8080/x"),
        (f"https://h.example/keys/{SHAPED['google-key']}/x", "https://h.example/keys/[google-key]/x"),
        ("https://h.example/cb#access_token=abc", "https://h.example/cb#access_token=[access_token]"),
        (f"/v1/x?key={SHAPELESS}", "/v1/x?key=[key]"),
        ("https://h.example/v1/chat?api-version=2024-10-21", "https://h.example/v1/chat?api-version=2024-10-21"),
        ("", ""),
    ],
)  # fmt: skip
def test_urls(redactor, url, expected):
    assert TOKEN.sub(r"[\1]", redactor.url(url)) == expected


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["bot", "--api-key", SHAPELESS, "-v"], ["bot", "--api-key", "[api-key]", "-v"]),
        (["bot", f"--token={SHAPELESS}"], ["bot", "--token=[token]"]),
        (["bot", "--max-tokens", "4096"], ["bot", "--max-tokens", "4096"]),
        (["env", f"AZURE_API_KEY={SHAPELESS}", "bot"], ["env", "AZURE_API_KEY=[azure_api_key]", "bot"]),
        (["curl", "-H", f"Authorization: Bearer {SHAPELESS}"], ["curl", "-H", "Authorization: Bearer [authorization]"]),
        (["/usr/bin/curl", "-u", f"me:{SHAPELESS}"], ["/usr/bin/curl", "-u", "me:[password]"]),
        (["python", "-u", "bot.py"], ["python", "-u", "bot.py"]),
        (["bot", f"https://h.example/?key={SHAPELESS}"], ["bot", "https://h.example/?key=[key]"]),
        (["bot", SHAPED["groq-key"]], ["bot", "[groq-key]"]),
        (["bot", "--token", "--verbose"], ["bot", "--token", "--verbose"]),
    ],
)  # fmt: skip
def test_command_lines(redactor, argv, expected):
    assert [TOKEN.sub(r"[\1]", one) for one in redactor.argv(argv)] == expected


@pytest.mark.parametrize(
    ("name", "redacted"),
    [
        ("OPENAI_API_KEY", True), ("AWS_SECRET_ACCESS_KEY", True), ("AWS_ACCESS_KEY_ID", True), ("GITHUB_TOKEN", True),
        ("DB_PASSWORD", True), ("githubToken", True), ("apiKey", True), ("client_secret", True),
        ("Authorization", True),
        ("RUN_ID", False), ("mode", False), ("tokens", False), ("max_tokens", False), ("cache_key", False),
        ("author", False), ("SSH_AUTH_SOCK", False),
    ],
)  # fmt: skip
def test_values_by_their_names(redactor, name, redacted):
    assert hidden(redactor.named(name, "some value"), "some value") is redacted


def test_state_is_redacted_deep_down(redactor):
    state = {"list": [{"password": "hunter2", "n": 1, "ok": True, "none": None}], "text": f"use {SHAPED['groq-key']}"}

    found = redactor.value(state)

    assert hidden(found["list"][0]["password"], "hunter2")
    assert found["list"][0] | {"password": 0} == {"password": 0, "n": 1, "ok": True, "none": None}
    assert hidden(found["text"], SHAPED["groq-key"])


@pytest.mark.parametrize(
    "text",
    [
        f"export AZURE_OPENAI_API_KEY={SHAPELESS}",
        f"AWS_SECRET_ACCESS_KEY = '{SHAPELESS}/x+y'",
        f'{{"api_key": "{SHAPELESS}"}}',
        f'{{\\"client_secret\\":\\"{SHAPELESS}\\"}}',
        f'{{"access_token":"{SHAPELESS}","token_type":"bearer"}}',
        f"x-api-key: {SHAPELESS}",
        f"apiKey: '{SHAPELESS}'",
        f"curl -H 'Authorization: Bearer {SHAPELESS}'",
        f"https://me:{SHAPELESS}@git.example/x.git",
        f"https://s3.example/o?X-Amz-Signature={SHAPELESS}",
        f"https://s3.example/o?a=1\\u0026X-Amz-Signature={SHAPELESS}\\u0026b=2",
    ],
)
def test_shapeless_values_in_text_are_found_by_their_names(redactor, text):
    assert hidden(redactor.body(text.encode()).decode(), SHAPELESS)


def test_equal_secrets_have_equal_digests_wherever_they_stand(redactor):
    secret = SHAPED["anthropic-key"]
    found = [
        redactor.header("x-api-key", secret),
        redactor.header("Authorization", f"Bearer {secret}"),
        redactor.url(f"https://h.example/?key={secret}"),
        redactor.body(f'{{"text": "{secret}"}}'.encode()).decode(),
        redactor.named("ANTHROPIC_API_KEY", secret),
    ]

    assert len({TOKEN.search(one).group(2) for one in found}) == 1
    assert Redactor(b"another key" * 3).header("x-api-key", secret) != found[0]


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


def sse(pieces: list[str], field: str = "content") -> bytes:
    return b"".join(
        f"data: {json.dumps({'choices': [{'index': 0, 'delta': {field: piece}}]})}\n\n".encode() for piece in pieces
    )


@pytest.mark.parametrize("step", [1, 3, 7, 20])
@pytest.mark.parametrize("field", fragments.FIELDS)
def test_a_secret_that_a_stream_spells_out_is_found(redactor, field, step):
    secret = SHAPED["anthropic-key"]
    text = f"it is {secret}, ok?"
    pieces = [text[at : at + step] for at in range(0, len(text), step)]

    found = redactor.body(sse(pieces, field))

    events = [json.loads(line[6:]) for line in found.decode().splitlines() if line]
    said = "".join(event["choices"][0]["delta"][field] for event in events)
    assert len(events) == len(pieces)
    assert said == f"it is {redactor.token('anthropic-key', secret.encode())}, ok?"


def test_a_stream_without_secrets_is_untouched(redactor):
    body = sse(["I ", "ask-", "ed for\n", '"sk-', 'nothing"'])

    assert redactor.body(body) == body


def test_recorded_traffic_is_touched_only_where_credentials_stand(redactor):
    folder = Path(__file__).parents[2] / ".." / "shared" / "corpus"
    files = sorted(folder.glob("*.jsonl.gz"))
    if not files:
        pytest.skip(f"no recorded exchanges in {folder.resolve()}")
    touched = set()
    for file in files:
        for line in gzip.decompress(file.read_bytes()).splitlines():
            exchange = json.loads(line)
            for side in ("request", "response"):
                body = exchange[side].get("body")
                if body is not None and redactor.body(body.encode()) != body.encode():
                    assert "X-Amz-Signature=" in body or body.startswith("apikey=test_api_key&")
                    touched.add(exchange["id"])

    assert len(touched) == 8


def ndjson(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def test_choices_that_alternate_do_not_mix(redactor):
    one, two = SHAPED["anthropic-key"], SHAPED["groq-key"]
    cuts = zip(*([text[at : at + 30] for at in range(0, 90, 30)] for text in (f"a {one}", f"b {two}")), strict=True)
    events = [{"choices": [{"delta": {"content": p}, "index": n}]} for pair in cuts for n, p in enumerate(pair)]

    found = redactor.body(b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events))

    said = {0: "", 1: ""}
    for line in found.decode().split("\n\n")[:-1]:
        (choice,) = json.loads(line[6:])["choices"]
        said[choice["index"]] += choice["delta"]["content"]
    assert said == {
        0: f"a {redactor.token('anthropic-key', one[:88].encode())}",
        1: f"b {redactor.token('groq-key', two.encode())}",
    }


def test_a_stream_of_lines_may_begin_with_a_long_one(redactor):
    secret = SHAPED["groq-key"]
    body = ndjson({"instructions": "x" * 9000}, {"delta": "it is " + secret[:20]}, {"delta": secret[20:] + "."})

    found = redactor.body(body)

    assert [json.loads(line) for line in found.splitlines()][1:] == [
        {"delta": f"it is {redactor.token('groq-key', secret.encode())}"},
        {"delta": "."},
    ]


@pytest.mark.parametrize("inner", [False, True], ids=["converse", "invoke"])
def test_frames_of_an_event_stream_are_whole_again(redactor, inner):
    secret = SHAPED["openai-key"]

    def framed(text: str) -> bytes:
        value = {"delta": {"text": text}}
        return event("chunk", {"bytes": base64.b64encode(json.dumps(value).encode()).decode()} if inner else value)

    body = b"".join(framed(text) for text in ("it is ", secret[:9], secret[9:], " ok")) + error("E", f"bad {secret}")

    found = list(frames(redactor.body(body)))

    assert [one.fault for one in found] == [None] * 5
    token = redactor.token("openai-key", secret.encode())
    assert found[-1].headers[":error-message"] == f"bad {token}"
    payloads = [json.loads(one.payload) for one in found[:-1]]
    values = [json.loads(base64.b64decode(one["bytes"])) if inner else one for one in payloads]
    assert [value["delta"]["text"] for value in values] == ["it is ", token, "", " ok"]


def test_an_event_stream_without_secrets_is_untouched(redactor):
    body = event("a", {"text": "it is fine, all of it"}) + event("b", b"no json") + b"\0\0\0\x10 cut"

    assert redactor.body(body) == body


def test_the_end_of_an_event_stream_that_was_cut_is_searched_too(redactor):
    secret = SHAPED["openai-key"]
    value = {"bytes": base64.b64encode(json.dumps({"text": f"is {secret} ok"}).encode()).decode()}
    body = event("chunk", {"text": "first"}) + event("chunk", value)[:-9]

    found = redactor.body(body)

    assert secret.encode() not in base64.b64decode(found[found.rindex(b'"bytes": "') + 10 :][:80])
    assert base64.b64encode(secret.encode())[4:-4] not in found


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
