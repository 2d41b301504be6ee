"""Credentials in the shapes of real ones, each made up once, and the ways in which one may be written.

Put together from parts, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from urllib.parse import quote

_chance = random.Random(20)


def _some(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """`count` letters with a digit and a capital among them."""
    letters = [_chance.choice(alphabet) for _ in range(count)]
    letters[0] = _chance.choice([one for one in alphabet if one.isdigit()] or alphabet)
    letters[-1] = _chance.choice([one for one in alphabet if one.isupper()] or alphabet)
    return "".join(letters)


def _hex(count: int) -> str:
    return _some(count, "0123456789abcdef")


def _url64(count: int) -> str:
    return base64.urlsafe_b64encode(_chance.randbytes(count)).decode().rstrip("=")


def _jwt() -> str:
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT", "kid": _some(6)}).encode()).decode()
    claims = base64.urlsafe_b64encode(json.dumps({"sub": _some(10), "exp": 2_000_000_000}).encode()).decode()
    return f"{head.rstrip('=')}.{claims.rstrip('=')}.{_url64(32)}"


SHAPES: dict[str, Callable[[], str]] = {
    "openai": lambda: "sk-" + _some(48),
    "openai-project": lambda: "sk-" + f"proj-{_url64(54)}T3BlbkFJ{_url64(54)}7X",
    "openai-service": lambda: "sk-" + f"svcacct-{_some(60)}",
    "anthropic": lambda: "sk-" + f"ant-api03-{_url64(69)}-{_some(6)}AA",
    "anthropic-login": lambda: "sk-" + f"ant-oat01-{_url64(69)}-{_some(6)}AA",
    "openrouter": lambda: "sk-" + f"or-v1-{_hex(64)}",
    "deepseek": lambda: "sk-" + _hex(32),
    "helicone": lambda: "sk-" + "helicone-" + "-".join(_some(7, string.ascii_lowercase + "0123456789") for _ in "1234"),
    "langfuse": lambda: "sk-" + f"lf-{_hex(8)}-{_hex(4)}-{_hex(4)}-{_hex(4)}-{_hex(12)}",
    "gemini": lambda: "AI" + f"zaSy{_some(33)}",
    "gemini-new": lambda: "AQ" + f".Ab8{_some(50)}",
    "google-login": lambda: "ya29" + f".a0{_some(80)}",
    "azure": lambda: _some(52) + "JQQJ" + f"99{_some(8)}ACYeB{_some(13)}",
    "bedrock": lambda: "AB" + "SK" + base64.b64encode(b"BedrockAPIKey-" + _chance.randbytes(46)).decode(),
    "bedrock-short": lambda: "bedrock-" + "api-key-" + base64.b64encode(_chance.randbytes(120)).decode(),
    "aws-key-id": lambda: "AK" + f"IA{_some(16, string.ascii_uppercase + '234567')}",
    "groq": lambda: "gsk" + f"_{_some(52)}",
    "xai": lambda: "x" + f"ai-{_some(80)}",
    "perplexity": lambda: "pp" + f"lx-{_some(48)}",
    "fireworks": lambda: "fw" + f"_{_some(24)}",
    "together": lambda: "tgp" + f"_v1_{_url64(32)}7X",
    "cerebras": lambda: "c" + f"sk-{_some(48)}",
    "nvidia": lambda: "nv" + f"api-{_some(64)}",
    "novita": lambda: "sk" + f"_{_some(43)}",
    "vercel": lambda: "v" + f"ck_{_some(56)}",
    "huggingface": lambda: "hf" + f"_{_some(34)}",
    "replicate": lambda: "r8" + f"_{_some(37)}",
    "pinecone": lambda: "pc" + f"sk_{_some(6)}_{_some(60)}",
    "tavily": lambda: "tv" + f"ly-{_some(32)}",
    "langsmith": lambda: "lsv2" + f"_pt_{_hex(32)}_{_hex(10)}",
    "github": lambda: "gh" + f"p_{_some(36)}",
    "github-fine-grained": lambda: "github" + f"_pat_{_some(22)}_{_some(59)}",
    "slack": lambda: "xox" + f"b-{_some(12, string.digits)}-{_some(24)}",
    "jwt": _jwt,
}
"""Those of the providers and of what stands beside them in prompts; each call makes another one."""

SHAPELESS: dict[str, Callable[[], str]] = {
    "hex": lambda: _hex(32),
    "letters": lambda: _some(40),
    "base64": lambda: base64.b64encode(_chance.randbytes(30)).decode(),
    "z.ai": lambda: f"{_hex(32)}.{_some(16)}",
}
"""Azure's older keys, Cohere's and Mistral's, AWS's secrets, Z.ai's: known by what they are called."""


def some_bytes(count: int) -> bytes:
    return _chance.randbytes(count)


def forms(secret: str) -> Iterator[bytes]:
    """The secret, and what it becomes in JSON, in a URL and in base64, wherever in a group of three it begins."""
    plain = secret.encode()
    once = json.dumps(secret)[1:-1]
    written = {plain, once.encode(), json.dumps(once)[1:-1].encode(), quote(secret, safe="").encode()}
    written |= {one.replace(b"/", b"\\/") for one in written}
    for before in range(3):
        text = base64.b64encode(b"\0" * before + plain)
        written.add(text[4 if before else 0 : len(text) // 4 * 4 - 4])
    yield from written
