"""What a credential's name is given is found in files and code; a placeholder, a reference, a type is none."""

import json

import pytest
from tests.redaction.made_up import FORMS, NAMES, TOKEN, given

from sessiontap.redaction import Redactor, fragments, replacer
from sessiontap.redaction.names_and_values import strength

REDACTOR = Redactor(b"k" * 32)
SECRET = "Xq7vB2nM4kL9pR3tW8yZ1cD6fG5hJ0s"


def left(text: str) -> str:
    """The text with short tokens."""
    return TOKEN.sub("[...]", REDACTOR.body(text.encode()).decode())


@pytest.mark.parametrize("form", FORMS)
def test_each_name_is_found_in_each_form(form: str) -> None:
    missed = []
    for name in NAMES:
        text = given(name, form, SECRET)
        nested = json.dumps({"x": json.dumps({"y": f"\t{text}\n"})})
        for body in (text, json.dumps({"content": f"a\n{text}\nb"}), nested):
            if SECRET in left(body):
                missed.append((name, body))
    assert missed == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DB_PASSWORD=hunter2\nPORT=80", "DB_PASSWORD=[...]\nPORT=80"),
        ("DB_PASSWORD=correcthorse\n", "DB_PASSWORD=[...]\n"),
        ("DB_PASSWORD=p@ss;w0rd,x)!\n", "DB_PASSWORD=[...]\n"),
        ("A_TOKEN=abcdef123456,B=1", "A_TOKEN=[...],B=1"),
        ("A_TOKEN=abcdef123456;B=1", "A_TOKEN=[...];B=1"),
        ('PASSWORD="with # and \'quotes\'1" # why', 'PASSWORD="[...]" # why'),
        ("password: \"o'brien7\"", 'password: "[...]"'),
        ("connect(user=me, password='hunter2')", "connect(user=me, password='[...]')"),
        ("connect(password=hunter2, user=me)", "connect(password=[...], user=me)"),
        ("my password is hunter2.", "my password is [...]."),
        ("API key: abcdef123456", "API key: [...]"),
        ("Server=x;User Id=me;Password=hunter2;Timeout=3", "Server=x;User Id=me;Password=[...];Timeout=3"),
        ("AccountKey=abc123+/def456==;EndpointSuffix=x", "AccountKey=[...];EndpointSuffix=x"),
        ("Authorization: Basic bWU6cHc=", "Authorization: Basic [...]"),
        ("Authorization: Token abcdef123456", "Authorization: Token [...]"),
        ('{"auths": {"h": {"auth": "bWU6aHVudGVyMg=="}}}', '{"auths": {"h": {"auth": "[...]"}}}'),
        ("machine h login me password hunter2", "machine h login me password [...]"),
        ("db.example:5432:app:me:hunter2\n", "db.example:5432:app:me:[...]\n"),
        ("//packages.example/:_authToken=abcdef123456", "//packages.example/:_authToken=[...]"),
        ("ALTER USER me WITH PASSWORD 'hunter2';", "ALTER USER me WITH PASSWORD '[...]';"),
        ("define( 'DB_PASSWORD', 'hunter2' );", "define( 'DB_PASSWORD', '[...]' );"),
        ("SENTRY_DSN=https://0123456789abcdef0123456789abcdef@o1.ingest.sentry.io/1",
         "SENTRY_DSN=https://[...]@o1.ingest.sentry.io/1"),
        ("postgres://me:hunter2@db:5432/app", "postgres://me:[...]@db:5432/app"),
        ("curl -u me:hunter2 https://x", "curl -u me:[...] https://x"),
        ("curl -ume:hunter2 https://x", "curl -ume:[...] https://x"),
        ("$ curl -s --user=me:hunter2 https://x", "$ curl -s --user=me:[...] https://x"),
        ('["curl", "-u", "me:hunter2"]', '["curl", "-u", "me:[...]"]'),
        ("mysql -uroot -phunter2 app", "mysql -uroot -p[...] app"),
        ("sshpass -p hunter2 ssh me@h", "sshpass -p [...] ssh me@h"),
        ("echo hi | docker login -u me -p hunter2 h", "echo hi | docker login -u me -p [...] h"),
        ("redis-cli -a hunter2 ping", "redis-cli -a [...] ping"),
    ],
)  # fmt: skip
def test_the_value_goes_and_nothing_else(text: str, expected: str) -> None:
    assert left(text) == expected
    sent = json.dumps({"content": text})
    assert json.loads(left(sent)) == {"content": expected}


@pytest.mark.parametrize(
    "text",
    [
        "TOKEN=your-token-here", "password: string", "api_key=os.getenv('API_KEY')", 'PASSWORD=""', "max_tokens: 4096",
        '"token_type": "bearer"', "sort_key=name", "write KEY=value into it", '{"input_tokens": 12}', "PASSWORD=",
        "API_KEY=<your key>", "API_KEY=${API_KEY}", "API_KEY=$API_KEY", "api_key: ${{ secrets.API_KEY }}",
        "api_key = config.api_key", "token = tokens[0]", "token = self.next_token()", "password = get_password(user)",
        "password: Optional[str] = None", "f(password=password)", "secret = secret_name", "PASSWORD=changeme",
        'api_key="sk-..."', "API_KEY=xxxxxxxxxxxxxxxx", "TOKEN=****************", "password: required",
        '{"password": {"type": "string", "minLength": 12}}', '"required": ["username", "password", "api_key_2"]',
        '{"token": " Hello", "logprob": -0.1}', '{"tokens": ["a", "b"]}', '{"next_page_token": "abcdef1234567890"}',
        '{"cache_key": "user-profile-v2-12345678"}', "SSH_KEY=~/.ssh/id_rsa", "TLS_PRIVATE_KEY=/etc/tls/server.key",
        "SECRET_NAME=my-secret-2", "docker run -u 1000:1000 x", "python -u main.py:app", "git push -u origin a:b",
        "PWD=/home/me/project1", "the token is invalid", "Password: please enter it", "pass: 3 tests",
        "sorted(rows, key=lambda row: row[1])", "const token = await getToken2();", "AUTHOR=Ada1", "TOKEN_LIMIT=128000",
        "PUBLIC_KEY=abcdef1234567890abcdef", "https://user:password@host/x", "token: CancellationToken,",
        '<input type="password" name="password" id="password1">', "API_KEY=[redacted:api-key:0123456789]",
        "[redacted:github-token:0123456789]", "token=abc", '{"secretKeyRef": {"name": "db", "key": "password"}}',
        '{"label": {"password": "Enter your password"}}', "OPENAI_API_KEY=op://vault/item/field1",
    ],
)  # fmt: skip
def test_a_word_that_is_no_credential_stays(text: str) -> None:
    for body in (text, json.dumps({"content": text})):
        assert REDACTOR.body(body.encode()).decode() == body


@pytest.mark.parametrize(
    ("name", "sure"),
    [
        ("PGPASSWORD", "password"), ("dbPassword", "password"), ("DB_PASS", "password"), ("pass", None),
        ("API_KEY", "key"), ("apiKey", "key"), ("api-key", "key"), ("API_KEY_PROD", "key"), ("SECRET_KEY_BASE", "key"),
        ("GITHUB_TOKEN_2", "key"), ("TOKEN", "key"), ("token", "weak"), ("tokens", None), ("max_tokens", None),
        ("token_type", None), ("next_token", None), ("MERAKI_KEY", "weak"), ("meraki_key", None), ("SORT_KEY", None),
        ("key", None), ("auth", "basic"), ("author", None), ("secretName", None), ("", None), ("_", None),
    ],
)  # fmt: skip
def test_names(name: str, sure: str | None) -> None:
    assert strength(name) == sure


@pytest.mark.parametrize("at", range(replacer.WINDOW - 40, replacer.WINDOW + 4, 3))
def test_a_name_and_its_value_on_both_sides_of_a_windows_border(at: int) -> None:
    body = b" " * at + b'DB_PASSWORD="hunter2hunter2" ' + b"x" * replacer.WINDOW

    assert b"hunter2" not in Redactor(b"k").body(body)
    assert b"hunter2" not in REDACTOR.body(body)


def test_a_name_in_one_event_and_its_value_in_the_next() -> None:
    events = [{"choices": [{"delta": {"content": piece}}]} for piece in ("PASSWORD=", "hunter2", "\n", "done")]
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)

    assert b"hunter2" not in REDACTOR.body(body)


def test_what_was_found_near_the_end_of_a_window_is_not_forgotten_when_more_follows() -> None:
    history = b'{"role": "user"} clean. ' * 3000
    for size in (600, 2100, 5000, 8000):
        token = b"eyJhbGciOiJIUzI1NiJ9." + b"aB3d" * (size // 8) + b"." + b"eF5h" * (size // 8)
        for body in (history + token[: size // 2], history + token, history + token + b" " + history):
            found = REDACTOR.body(body)
            assert found == Redactor(b"k" * 32).body(body)
        assert token[-40:] not in found


GEMINI = {
    "candidates": [
        {
            "logprobsResult": {
                "topCandidates": [{"candidates": [{"token": "hunt", "tokenId": 7, "logProbability": -0.1}]}],
                "chosenCandidates": [
                    {"token": "PASSWORD=", "tokenId": 1, "logProbability": -0.1},
                    {"token": "hunt", "tokenId": 2, "logProbability": -0.1},
                    {"token": "er2", "tokenId": 3, "logProbability": -0.1},
                    {"token": "\n", "tokenId": 4, "logProbability": -0.1},
                ],
            }
        }
    ]
}


def test_what_stands_for_a_token_goes_with_it() -> None:
    found = json.loads(REDACTOR.body(json.dumps(GEMINI).encode()))["candidates"][0]["logprobsResult"]

    assert [TOKEN.sub("[...]", one["token"]) for one in found["chosenCandidates"]] == ["PASSWORD=", "[...]", "", "\n"]
    assert [one["tokenId"] for one in found["chosenCandidates"]] == [None, None, None, 4], "of the one before, too"


def test_log_probabilities_without_a_credential_are_untouched() -> None:
    token = {"token": "a]", "bytes": [97, 93], "top_logprobs": []}
    body = json.dumps({"choices": [{"logprobs": {"content": [token]}}]}).encode()

    assert REDACTOR.body(body) == body
    assert list(fragments.in_logprobs(body, lambda text: ())) == []


def test_geminis_list_of_tokens_that_were_nearly_taken_goes_with_a_credential() -> None:
    words = ["a", "PASSWORD=", "hunt", "er2", "\n", "b"]
    chosen = [{"token": word} for word in words]
    nearly = [{"candidates": [one]} for one in chosen]
    result = {"logprobsResult": {"topCandidates": nearly, "chosenCandidates": chosen}}

    found = json.loads(REDACTOR.body(json.dumps(result).encode()))["logprobsResult"]

    assert found["topCandidates"] == []
