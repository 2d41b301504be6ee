"""Credentials that are known by where they stand: headers, URLs, command lines, names of values."""


import pytest
from tests.redaction.shaped import KEY, SHAPED, SHAPELESS, TOKEN, hidden

from sessiontap.redaction import Redactor


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
