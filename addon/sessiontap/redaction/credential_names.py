"""Names of credentials, as data, and how sure a name is.

A name is read as words: `PGPASSWORD_PROD`, `dbPassword` and `db-password` end in the same one. The last word decides,
with the words before it: `api_key` is a credential's name, `sort_key` is none, and `MAILGUN_KEY` is one if its value
looks like one.

The words were gathered from the default rules of gitleaks (MIT, config/gitleaks.toml at b58d3f1) and the keyword plugin
of detect-secrets (Apache-2.0), from `.env` examples, and from vendors' documentation.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Strength = Literal["password", "key", "weak", "basic"]
"""How much of a value a name needs to see (see `values.py`): a password may be short and a word; a key has letters and
digits; of a weak name the value must look random; basic is base64 of `user:password`."""

PASSWORDS = ("password", "passwd", "passphrase", "passcode", "pwd")
"""A name whose last word ends so is a password's: `pgpassword`, `sshpass` is not one."""
_PASSWORD_IF_QUALIFIED = frozenset({"pass", "pw"})
"""`DB_PASS`, `smtpPass`; not `pass: 3 tests`."""
_NO_PASS = frozenset({"test", "tests", "by", "first", "second", "single", "multi", "boarding", "compiler", "render"})
_SECRETS = ("secret",)
_TOKENS = ("token",)
_KEYS_GLUED = ("apikey", "accesskey", "secretkey", "privatekey", "authkey", "signingkey", "encryptionkey", "masterkey")
_KEYLIKE = frozenset({"credential", "credentials", "jwt", "authorization", "bearer", "cookie"})
_KEYLIKE_IF_QUALIFIED = frozenset({"pat"})

KEYS = frozenset(
    {
        "api", "access", "secret", "private", "subscription", "account", "auth", "master", "service", "signing",
        "encryption", "decryption", "server", "admin", "app", "application", "shared", "client", "deploy", "deployment",
        "jwt", "hmac", "aes", "webhook", "crypto", "cipher", "token", "license", "integration", "consumer", "bot",
        "authentication", "signature", "functions", "function", "role",
        # whose keys they are
        "openai", "anthropic", "claude", "gemini", "google", "azure", "aws", "mistral", "cohere", "groq", "helicone",
        "openrouter", "deepseek", "together", "fireworks", "perplexity", "replicate", "huggingface", "voyage", "jina",
        "tavily", "exa", "serper", "serpapi", "pinecone", "langsmith", "langfuse", "stripe", "sendgrid", "mailgun",
        "mailchimp", "twilio", "datadog", "algolia", "amplitude", "segment", "sentry", "cloudflare", "digitalocean",
        "heroku", "supabase", "firebase", "airtable", "notion", "linear", "github", "gitlab", "slack", "maps", "mapbox",
    }
)  # fmt: skip
"""`X_key` is a credential's name for these X."""
NO_KEYS = frozenset(
    {
        "public", "primary", "foreign", "sort", "partition", "cache", "idempotency", "object", "row", "group", "range",
        "dict", "map", "index", "lookup", "unique", "composite", "storage", "local", "context", "state", "query",
        "param", "config", "json", "item", "list", "data", "entity", "hot", "short", "routing", "dedup", "dedupe",
        "ordering", "order", "message", "event", "metric", "feature", "flag", "label", "tag", "title", "name", "path",
        "translation", "locale", "file", "s3", "bucket", "redis", "publishable", "site", "host", "known", "authorized",
        "press", "escape", "enter", "arrow", "modifier", "any", "prompt", "conversation", "distribution", "registry",
        "hkey", "column", "table", "field", "record", "job", "task", "lock", "queue", "topic", "rate", "limit",
    }
)  # fmt: skip
"""`X_KEY` is nobody's secret for these X; for all others it is one if its value looks random."""
NO_TOKENS = frozenset(
    {
        "next", "page", "prev", "previous", "continuation", "cursor", "pad", "eos", "bos", "unk", "cls", "sep", "mask",
        "stop", "start", "end", "begin", "special", "max", "min", "num", "total", "cancellation", "cancel", "first",
        "last", "per", "image", "input", "output", "prompt", "completion", "reasoning", "cached", "lexer", "syntax",
        "resume", "pagination", "eot", "eom", "newline", "fim", "video", "audio", "text", "sync", "delta", "design",
    }
)  # fmt: skip
"""`X_token` is nobody's secret for these X."""
_AFTER = frozenset(
    {
        "prod", "production", "dev", "development", "staging", "stage", "test", "testing", "live", "sandbox", "local",
        "main", "primary", "secondary", "old", "new", "backup", "current", "base", "value", "default", "plain", "raw",
        "text", "str", "string", "b64", "base64", "v", "b", "read", "write", "ro", "rw", "admin", "root", "ci", "eu",
        "us",
    }
)  # fmt: skip
"""Words that may stand behind: `API_KEY_PROD`, `SECRET_KEY_BASE`, `TOKEN_2`."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


@lru_cache(4096)
def strength(name: str) -> Strength | None:
    """How sure it is that what this name is given is a credential. None: it is no credential's name."""
    words = [word.lower() for word in _WORDS.findall(name)]
    while len(words) > 1 and (words[-1].isdigit() or words[-1] in _AFTER):
        words.pop()
    if not words:
        return None
    *before, last = words
    if last.endswith(PASSWORDS):
        return "password"
    if last in _PASSWORD_IF_QUALIFIED:
        if before:
            return None if before[-1] in _NO_PASS else "password"
        return "key" if name.isupper() else None
    if last.endswith(_SECRETS):
        return "password"
    if last.endswith(_TOKENS):
        if before and not NO_TOKENS.isdisjoint(before[-2:]):
            return None
        return "key" if before or last != "token" or name.isupper() else "weak"
    if last in _KEYLIKE or last.endswith(_KEYS_GLUED) or (last in _KEYLIKE_IF_QUALIFIED and before):
        return "key"
    if last == "key" and before:
        if before[-1] in KEYS:
            return "key"
        return "weak" if name.isupper() and before[-1] not in NO_KEYS else None
    if last == "auth":
        return "basic"
    return None
