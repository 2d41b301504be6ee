"""Made-up credentials in the places where they occur, drawn with a fixed seed: what `scripts/eval-redaction` measures.

A credential goes by its name (`NAMES`, in one of `FORMS`) or by its shape (`SHAPES`), and stands in one of `PLACES`.
Each is put together here, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

import base64
import json
import random
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.llm.llm_frames import event

from sessiontap.llm.eventstream import frames
from sessiontap.redaction import Redactor

SEED = 20_261_121
LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"

PASSWORDS = (
    "PASSWORD", "DB_PASSWORD", "POSTGRES_PASSWORD", "MYSQL_PASSWORD", "MYSQL_ROOT_PASSWORD", "PGPASSWORD",
    "REDIS_PASSWORD", "MONGO_PASSWORD", "SMTP_PASSWORD", "EMAIL_HOST_PASSWORD", "ADMIN_PASSWORD", "ROOT_PASSWORD",
    "DATABASE_PASSWORD", "RABBITMQ_DEFAULT_PASS", "DB_PASS", "SMTP_PASS", "MYSQL_PWD", "DB_PASSWD", "SSH_PASSPHRASE",
    "SECRET", "APP_SECRET", "JWT_SECRET", "CLIENT_SECRET", "SESSION_SECRET", "COOKIE_SECRET", "NEXTAUTH_SECRET",
    "WEBHOOK_SECRET", "GOOGLE_CLIENT_SECRET", "GITHUB_CLIENT_SECRET", "TWILIO_API_SECRET",
)  # fmt: skip
KEYS = (
    "TOKEN", "API_TOKEN", "AUTH_TOKEN", "ACCESS_TOKEN", "REFRESH_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN",
    "SLACK_BOT_TOKEN", "DISCORD_TOKEN", "TELEGRAM_BOT_TOKEN", "NPM_TOKEN", "HF_TOKEN", "VAULT_TOKEN",
    "SENTRY_AUTH_TOKEN",
    "CLOUDFLARE_API_TOKEN", "DATABRICKS_TOKEN", "TWILIO_AUTH_TOKEN", "GITHUB_PAT", "AZURE_DEVOPS_EXT_PAT",
    "API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_OPENAI_API_KEY", "COHERE_API_KEY", "MISTRAL_API_KEY",
    "SECRET_KEY", "DJANGO_SECRET_KEY", "SECRET_KEY_BASE", "AWS_SECRET_ACCESS_KEY", "ENCRYPTION_KEY", "PRIVATE_KEY",
    "MASTER_KEY", "SIGNING_KEY", "STRIPE_SECRET_KEY", "MAILGUN_KEY", "ALGOLIA_ADMIN_KEY", "AZURE_STORAGE_ACCOUNT_KEY",
    "SERVICE_ROLE_KEY", "DATADOG_KEY",
)  # fmt: skip
NAMES = (*PASSWORDS, *KEYS)

FORMS: dict[str, str] = {
    "NAME=value": "{n}={v}",
    'NAME="value"': '{n}="{v}"',
    "NAME='value'": "{n}='{v}'",
    "export NAME=value": "export {n}={v}",
    "numbered line": "     7→{n}={v}",
    "diff": "+{n}={v}",
    "grep": ".env:7:{n}={v}",
    "NAME: value": "{n}: {v}",
    'NAME: "value"': '  {n}: "{v}"',
    "name: value (YAML)": "  {l}: {v}",
    'NAME = "value" (TOML Terraform Python)': '{n} = "{v}"',
    "name = value (INI)": "{l} = {v}",
    '"name": "value" (JSON)': '{{"{l}": "{v}"}}',
    '"NAME":"value" (JSON)': '{{"env":{{"{n}":"{v}"}}}}',
    "JSON in JSON": '{{"body": "{{\\"{l}\\": \\"{v}\\"}}"}}',
    "camelCase": 'const config = {{ {c}: "{v}" }};',
    "os.environ['NAME']": "os.environ['{n}'] = '{v}'",
    "os.environ.setdefault": 'os.environ.setdefault("{n}", "{v}")',
    "process.env.NAME": 'process.env.{n} = "{v}";',
    "default": 'os.environ.get("{n}") or process.env.{n} || "{v}"',
    "typed": '    {l}: str = "{v}"',
    "SecretStr": '{l}=SecretStr("{v}"),',
    "Kubernetes": "- name: {n}\n  value: {v}",
    "ECS": '{{"name": "{n}", "value": "{v}"}}',
    "XML": "<{l}>{v}</{l}>",
    "Dockerfile": "ENV {n} {v}",
    "PowerShell": '$env:{n} = "{v}"',
    "--name=value": "deploy --{k}={v} --verbose",
    "--name value": "deploy --{k} {v} --verbose",
    "header line": "X-{h}: {v}",
}
"""`n` is the name, `l` it in lower case, `c` in camel case, `k` with dashes, `h` as a header, `v` the value."""


def _of(alphabet: str, size: int) -> Callable[[random.Random], str]:
    return lambda chance: "".join(chance.choices(alphabet, k=size))


def _shape(*parts: str | tuple[str, int]) -> Callable[[random.Random], str]:
    return lambda chance: "".join(
        part if isinstance(part, str) else "".join(chance.choices(part[0], k=part[1])) for part in parts
    )


L, H, U, D = LETTERS, HEX, string.ascii_uppercase + "234567", string.digits
SHAPES: dict[str, Callable[[random.Random], str]] = {
    "openai-key": _shape("sk", "-proj-", (L, 74), "_", (L, 10)),
    "anthropic-key": _shape("sk", "-ant-api03-", (L, 93), "AA"),
    "openrouter-key": _shape("sk", "-or-v1-", (H, 64)),
    "groq-key": _shape("gsk", "_", (L, 52)),
    "google-key": _shape("AI", "za", (L, 35)),
    "google-token": _shape("ya29", ".a0", (L, 80)),
    "google-refresh-token": _shape("1/", "/0", (L + "-_", 60)),
    "google-secret": _shape("GOC", "SPX-", (L, 28)),
    "aws-key-id": _shape("AK", "IA", (U, 16)),
    "huggingface-token": _shape("hf", "_", (L, 34)),
    "replicate-token": _shape("r8", "_", (L, 37)),
    "github-token": _shape("gh", "p_", (L, 36)),
    "github-fine-grained": _shape("github", "_pat_", (L, 22), "_", (L, 59)),
    "gitlab-token": _shape("gl", "pat-", (L, 20)),
    "slack-token": _shape("xox", "b-", (D, 12), "-", (D, 12), "-", (L, 24)),
    "slack-webhook": _shape("https://hooks.", "slack.com/services/T", (U, 8), "/B", (U, 8), "/", (L, 24)),
    "stripe-key": _shape("sk", "_live_", (L, 24)),
    "webhook-secret": _shape("wh", "sec_", (L, 32)),
    "npm-token": _shape("np", "m_", (L, 36)),
    "pypi-token": _shape("py", "pi-AgEIcHlwaS5vcmc", (L, 70)),
    "sendgrid-key": _shape("S", "G.", (L, 22), ".", (L, 43)),
    "digitalocean-token": _shape("dop", "_v1_", (H, 64)),
    "databricks-token": _shape("da", "pi", (H, 32)),
    "vault-token": _shape("hv", "s.", (L, 95)),
    "shopify-token": _shape("shp", "at_", (H, 32)),
    "grafana-token": _shape("gl", "sa_", (L, 32), "_", (H, 8)),
    "grafana-cloud-token": _shape("gl", "c_", (L, 80)),
    "notion-token": _shape("nt", "n_", (D, 11), (L, 35)),
    "notion-old-token": _shape("secr", "et_", (L, 43)),
    "linear-key": _shape("lin", "_api_", (L, 40)),
    "discord-token": _shape("M", (L, 23), ".", (L, 6), ".", (L, 38)),
    "telegram-token": _shape((D[1:], 1), (D, 9), ":A", "A", (L, 33)),
    "supabase-token": _shape("sb", "p_", (H, 40)),
    "twilio-key": _shape("S", "K", (H, 32)),
    "mailgun-key": _shape("ke", "y-", (H, 32)),
    "mailchimp-key": _shape((H, 32), "-u", "s12"),
    "airtable-token": _shape("pa", "t", (L, 14), ".", (H, 64)),
    "azure-secret": _shape((L, 3), "8", "Q~", (L, 34)),
    "planetscale-password": _shape("pscale", "_pw_", (L, 43)),
    "docker-token": _shape("dckr", "_pat_", (L, 27)),
    "sentry-token": _shape("sntr", "yu_", (H, 64)),
    "terraform-token": _shape((L, 14), ".atlas", "v1.", (L, 64)),
    "pulumi-token": _shape("pu", "l-", (H, 40)),
    "postman-key": _shape("PM", "AK-", (H, 24), "-", (H, 34)),
    "age-key": _shape("AGE-", "SECRET-KEY-1", ("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58)),
    "jwt": _shape("ey", "JhbGciOiJIUzI1NiJ9.ey", (L, 60), ".", (L, 43)),
}


@dataclass(frozen=True, slots=True)
class Made:
    """A credential in its place."""

    secret: str
    by: str
    """The name and form, or the shape."""
    place: str
    leaks: Callable[[Redactor], str]
    """What is left of the place, as text in which a leaked credential would stand."""


def value(chance: random.Random, name: str) -> str:
    """A value such as people and programs make for a credential of this name."""
    if name in PASSWORDS and chance.random() < 0.7:
        words = chance.choice(("hunter", "Tr0ub4dor", "correct-horse", "Winter", "s3cr3t", "letmein", "Blue.Whale"))
        if chance.random() < 0.5:
            return (
                words + "".join(chance.choices("!@#%^*_-+~?", k=2)) + "".join(chance.choices(D, k=chance.randint(2, 5)))
            )
        return chance.choice(LETTERS) + "".join(chance.choices(LETTERS + "!@#%^*_-+~", k=chance.randint(9, 22))) + "7"
    kind = chance.randrange(4)
    if kind == 0:
        return "".join(chance.choices(HEX, k=chance.choice((32, 40, 64))))
    if kind == 1:
        return base64.b64encode(chance.randbytes(30)).decode()
    if kind == 2:
        return "-".join("".join(chance.choices(HEX, k=size)) for size in (8, 4, 4, 4, 12))
    return chance.choice(LETTERS) + "".join(chance.choices(LETTERS, k=chance.randint(22, 44))) + "4"


def given(name: str, form: str, secret: str) -> str:
    """The text in which this name is given the secret."""
    words = name.lower().split("_")
    camel = words[0] + "".join(word.capitalize() for word in words[1:])
    header = "-".join(word.capitalize() for word in words)
    return FORMS[form].format(n=name, l=name.lower(), c=camel, k="-".join(words), h=header, v=secret)


def _chat(text: str, role: str = "user") -> bytes:
    return json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": "a"}, {"role": role, "content": text}]}
    ).encode()


def _around(text: str) -> str:
    return f"Here is what you asked for:\n\n{text}\n\nDoes that help?"


def _pieces(text: str) -> Iterator[str]:
    chance = random.Random(text)
    while text:
        size = chance.randint(1, 7)
        yield text[:size]
        text = text[size:]


def _joined(*path: str | int) -> Callable[[bytes], str]:
    """The text that the events of a stream of lines spell."""

    def join(body: bytes) -> str:
        said = []
        for line in body.decode().splitlines():
            if line.removeprefix("data: ").startswith("{"):
                found: Any = json.loads(line.removeprefix("data: "))
                for key in path:
                    found = found[key]
                said.append(found)
        return "".join(said)

    return join


def _body(
    make: Callable[[str], bytes], read: Callable[[bytes], str] = lambda body: body.decode()
) -> Callable[..., Any]:
    def place(text: str) -> Callable[[Redactor], str]:
        sent = make(text)
        return lambda redactor: read(redactor.body(sent))

    return place


def _sse(make: Callable[[str], object]) -> Callable[[str], bytes]:
    return lambda text: b"".join(
        b"data: " + json.dumps(make(piece)).encode() + b"\n\n" for piece in _pieces(_around(text))
    )


def _lines(make: Callable[[str], object]) -> Callable[[str], bytes]:
    return lambda text: b"".join(json.dumps(make(piece)).encode() + b"\n" for piece in _pieces(_around(text)))


def _token(piece: str) -> dict[str, object]:
    taken = {"token": piece, "logprob": -0.1, "bytes": list(piece.encode())}
    return taken | {"top_logprobs": [taken, {"token": "x[", "logprob": -4.5, "bytes": [120, 91]}]}


def _logprobs(text: str) -> bytes:
    return json.dumps(
        {"choices": [{"logprobs": {"content": [_token(piece) for piece in _pieces(_around(text))]}}]}
    ).encode()


def _items(body: bytes) -> str:
    items = json.loads(body)["choices"][0]["logprobs"]["content"]
    near = "".join(one["token"] for item in items for one in item["top_logprobs"] if one["token"] != "x[")
    spelled = bytes(byte for item in items for byte in item["bytes"]).decode()
    return "\n".join(["".join(item["token"] for item in items), spelled, near])


def _legacy(text: str) -> bytes:
    tokens = list(_pieces(_around(text)))
    logprobs = {
        "tokens": tokens,
        "token_logprobs": [-0.1] * len(tokens),
        "top_logprobs": [{one: -0.1} for one in tokens],
    }
    return json.dumps({"object": "text_completion", "choices": [{"logprobs": logprobs}]}).encode()


def _legacy_items(body: bytes) -> str:
    found = json.loads(body)["choices"][0]["logprobs"]
    return "".join(found["tokens"]) + "\n" + "".join(key for one in found["top_logprobs"] for key in one)


def _multipart(text: str) -> bytes:
    part = 'Content-Disposition: form-data; name="file"; filename=".env"\r\nContent-Type: text/plain'
    return f"--b0\r\n{part}\r\n\r\n{_around(text)}\r\n--b0--\r\n".encode()


def _aws(text: str) -> bytes:
    return b"".join(event("contentBlockDelta", {"delta": {"text": piece}}) for piece in _pieces(_around(text)))


def _aws_text(body: bytes) -> str:
    return "".join(json.loads(one.payload)["delta"]["text"] for one in frames(body))


IN_BODIES: dict[str, Callable[[str], Callable[[Redactor], str]]] = {
    "user text": _body(lambda text: _chat(_around(text))),
    "system prompt": _body(lambda text: json.dumps({"system": [{"type": "text", "text": _around(text)}]}).encode()),
    "tool result: .env": _body(lambda text: _chat(f"# settings\nDEBUG=1\n{text}\nPORT=80\n", "tool")),
    "tool result: a file in JSON": _body(
        lambda text: _chat(json.dumps({"path": "a", "content": _around(text)}), "tool")
    ),
    "tool result: shell transcript": _body(lambda text: _chat(f"$ cat a\r\n{text}\r\n$ ls\r\n", "tool")),
    "tool result: content blocks": _body(
        lambda text: json.dumps({"content": [{"type": "tool_result", "content": [{"text": f"{text}\n"}]}]}).encode()
    ),
    "UTF-8 around it": _body(lambda text: json.dumps({"input": f"é—\n{text}\n—é"}, ensure_ascii=False).encode()),
    "plain text": _body(lambda text: _around(text).encode()),
    "nested JSON string": _body(lambda text: json.dumps({"a": json.dumps({"b": json.dumps({"c": text})})}).encode()),
    "far into a large body": _body(lambda text: _chat("all clean here. " * 2000 + "\n" + text + "\n" + "x " * 9000)),
    "error message": lambda text: lambda redactor: redactor.text(f"invalid request:\n{text}\n(see the docs)"),
    "websocket frames": _body(
        _lines(lambda piece: {"type": "response.output_text.delta", "delta": piece}), _joined("delta")
    ),
    "streamed chat": _body(_sse(lambda piece: {"choices": [{"index": 0, "delta": {"content": piece}}]}),
                           _joined("choices", 0, "delta", "content")),
    "streamed messages": _body(_sse(lambda piece: {"index": 0, "delta": {"type": "text_delta", "text": piece}}),
                               _joined("delta", "text")),
    "streamed tool arguments": _body(
        lambda text: _sse(lambda piece: {"index": 1, "delta": {"partial_json": piece}})(json.dumps({"command": text})),
        _joined("delta", "partial_json"),
    ),
    "streamed function arguments": _body(
        lambda text: _sse(lambda piece: {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": piece}}]}}]})(
            json.dumps({"content": text})
        ),
        _joined("choices", 0, "delta", "tool_calls", 0, "function", "arguments"),
    ),
    "streamed reasoning": _body(_lines(lambda piece: {"message": {"thinking": piece}}), _joined("message", "thinking")),
    "NDJSON": _body(_lines(lambda piece: {"response": piece}), _joined("response")),
    "AWS event stream": _body(_aws, _aws_text),
    "logprobs": _body(_logprobs, _items),
    "logprobs, streamed": _body(
        _sse(lambda piece: {"choices": [{"index": 0, "logprobs": {"content": [_token(piece)]}, "delta": {}}]}),
        _joined("choices", 0, "logprobs", "content", 0, "token"),
    ),
    "logprobs of completions": _body(_legacy, _legacy_items),
    "multipart": _body(_multipart),
}  # fmt: skip
"""Where a text with the credential in it may stand."""


def _argv(name: str, secret: str) -> Callable[[Redactor], str]:
    option = "--" + name.lower().replace("_", "-")
    return lambda redactor: "\n".join(redactor.argv(["bot", option, secret, f"{option}={secret}", f"{name}={secret}"]))


BY_NAME: dict[str, Callable[[str, str], Callable[[Redactor], str]]] = {
    "command line": _argv,
    "environment": lambda name, secret: lambda redactor: str(redactor.mapping({name: secret})),
    "state": lambda name, secret: lambda redactor: json.dumps(redactor.value({"deep": [{name.lower(): secret}]})),
    "query": lambda name, secret: (
        lambda redactor: redactor.url(f"https://h.example/v1?{name.lower()}={quote(secret, safe='')}&a=1")
    ),
    "form body": lambda name, secret: (
        lambda redactor: redactor.body(f"a=1&{name.lower()}={quote(secret, safe='')}&b=2".encode()).decode()
    ),
    "multipart field": lambda name, secret: (
        lambda redactor: redactor.body(
            f'--b0\r\nContent-Disposition: form-data; name="{name.lower()}"\r\n\r\n{secret}\r\n--b0--\r\n'.encode()
        ).decode()
    ),
}
"""Where a name and its value stand apart from any text."""

PLACES = (*IN_BODIES, *BY_NAME, "header")


def made_up(count: int = 5000, seed: int = SEED) -> Iterator[Made]:
    """So many credentials: names and shapes take turns, each in every place."""
    chance = random.Random(seed)
    names, shapes, forms = list(NAMES), list(SHAPES), list(FORMS)
    for number in range(count):
        place = PLACES[number % len(PLACES)]
        by_shape = number // len(PLACES) % 2 == 1
        if place in BY_NAME or (place == "header" and not by_shape):
            name = chance.choice(names)
            secret = value(chance, name)
            if place == "header":
                header = "X-" + "-".join(word.capitalize() for word in name.split("_"))
                yield Made(secret, f"name {name}", place, _header(header, secret))
            else:
                yield Made(secret, f"name {name}", place, BY_NAME[place](name, secret))
        elif by_shape:
            shape = shapes[number % len(shapes)]
            secret = SHAPES[shape](chance)
            text = chance.choice(("use {}", "it's '{}', ok?", "value: {}.", "<{}>", "({})", "line\n{}\nline")).format(
                secret
            )
            if place == "header":
                yield Made(secret, f"shape {shape}", place, _header("X-Other", text))
            else:
                yield Made(secret, f"shape {shape}", place, IN_BODIES[place](text))
        else:
            name, form = names[number % len(names)], forms[chance.randrange(len(forms))]
            secret = value(chance, name)
            yield Made(secret, f"name {name}, form {form}", place, IN_BODIES[place](given(name, form, secret)))


def _header(name: str, text: str) -> Callable[[Redactor], str]:
    return lambda redactor: redactor.header(name, text)


TOKEN = re.compile(r"\[redacted:[\w.*-]{1,80}:[0-9a-f]{10}\]")


def found(made: Made, redactor: Redactor) -> bool:
    """Whether the credential is gone; its halves are as telling as the whole."""
    left = TOKEN.sub("", made.leaks(redactor)).replace("\\/", "/")
    secret = made.secret
    return not any(part in left for part in (secret, secret[: len(secret) * 3 // 4], secret[len(secret) // 4 :]))
