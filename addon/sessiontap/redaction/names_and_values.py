"""Tell by its name and by itself whether a value is a credential.

A name is read as words: `PGPASSWORD_PROD`, `dbPassword` and `db-password` end in the same one. The last word decides,
with the words before it: `api_key` is a credential's name, `sort_key` is none, and `MAILGUN_KEY` is one if its value
looks like one.

A value under such a name may be a placeholder, a reference, a type, code: `TOKEN=your-token-here`, `password: string`,
`api_key=os.getenv("KEY")`, `PASSWORD=""`. A redacted word that is no credential is a defect too. The decision is pure
and sees the value as it stands in the text.

The words of names were gathered from the default rules of gitleaks (MIT, config/gitleaks.toml at b58d3f1) and the
keyword plugin of detect-secrets (Apache-2.0), from `.env` examples, and from vendors' documentation.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache
from typing import Literal

Strength = Literal["password", "key", "weak", "basic"]
"""The kind of a name: what a password's name is given may be short and a word; a key has letters and digits; the value
of a weak name must look random; basic is base64 of `user:password`."""

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
        "us", "bedrock",
    }
)  # fmt: skip
"""Words that may stand behind: `API_KEY_PROD`, `SECRET_KEY_BASE`, `TOKEN_2`."""
_NAMED = re.compile(
    r"(?:api|access|secret|private|subscription|account|auth|master|signing|encryption)[_.-]?key(?:[_.-]?id)?$"
    r"|(?:^|[_.-])(?:token|secret|password|passwd|passphrase|credentials?|pat|jwt|cookie|authorization|auth)$"
    r"|(?:Token|Secret|Password)$|(?:access|refresh|auth|id|bot)token$|^apikey$|clientsecret$",
    re.IGNORECASE,
)
"""Found in a credential's name, of a variable, an option or a property."""
_SURE: tuple[Strength, ...] = ("password", "key")
_LONGEST_NAME = 128
_NAME_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def strength(name: str) -> Strength | None:
    """Return the kind of a name, by its end if it is long; None if it is no credential's."""
    return _strength(name[-_LONGEST_NAME:])


@lru_cache(4096)
def _strength(name: str) -> Strength | None:
    words = [word.lower() for word in _NAME_WORDS.findall(name)]
    while len(words) > 1 and (words[-1].isdigit() or words[-1] in _AFTER):
        words.pop()
    if not words:
        return None
    *before, last = words
    if last.endswith(PASSWORDS):
        return "password"
    if name == "SSHPASS":  # also a command
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


def names_credential(name: str) -> bool:
    """A variable, an option or a property of this name holds a credential."""
    return _NAMED.search(name) is not None or strength(name) in _SURE


def given_credential(name: str, value: str) -> bool:
    """A variable whose name may be a credential's (`MAILGUN_KEY`) has a value that looks like one."""
    sure = strength(name)
    return sure is not None and is_secret(value.encode("utf-8", "surrogatepass"), sure, "env")


Form = Literal["env", "quoted", "bare"]
"""`NAME=value` of an upper-case name; in quotes; any other way."""

TYPES = frozenset(
    b"string str text bool boolean int integer number float object any bytes null none nil undefined true false yes no "
    b"on off required optional secretstr unknown void never redacted hidden masked disabled enabled empty default "
    b"default_value invalid missing incorrect expired".split()
)
"""Values that are types, switches or states."""
WORDS = frozenset(
    b"your my the a an api key keys token tokens secret secrets password passwd passphrase pass pwd pw auth access "
    b"client private public id user username name goes here value example sample test testing dummy fake mock demo "
    b"changeme change me replace replaced with this that insert enter put put actual real some thing something "
    b"placeholder todo tbd fixme xxx foo bar baz openai anthropic claude github gitlab google gemini aws azure slack "
    b"stripe cohere mistral groq helicone huggingface hf db database postgres mysql redis admin root bot app service "
    b"server account bearer basic credential credentials jwt sk pk key_here from env environment variable config set "
    b"new old current confirm confirmation repeat in of to for and or is not valid invalid very super long random "
    b"generate generated string hash hashed encrypted field input form type label hint please login sign session "
    b"refresh reset forgot forgotten must be at least characters required optional".split()
)
"""Of such words placeholders and labels are made."""
_JUDGED = 512
"""Bytes by which a long value is judged."""
_WORD = re.compile(rb"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_REFERENCE = re.compile(
    rb"\$\{?[A-Za-z_][\w:.-]*\}?\Z|\$\(|\$\{|\{\{|%\(|%\{|%[A-Z_]+%\Z|<[^<>]*>?\Z|\{[\w.: -]*\}\Z|&[A-Za-z]\w*\Z"
    rb"|(?:op|vault|ssm|env|file|arn|secretsmanager|keyring|https?|wss?|git\+https)(?:://|:)"
)
"""The source of the value, in place of the value: a variable, a template, a vault."""
_SCOPE = re.compile(rb"A(?:KIA|SIA)[A-Z0-9]{16}/")
"""AWS's `Credential=` of a signature: the key's id, which has a shape, and no secret."""
_UNTIL = re.compile(
    rb"\.\.\.|\xe2\x80\xa6|\\u2026|\*{4}|\*{3}\Z|\A\*{3}|xxxx|XXXX|\$\{|\{\{|<[a-z]|\[redacted|REDACTED|[\x00-\x08]"
)
"""Left out, blotted out, to be filled in."""
_NO_KEY = re.compile(rb"[ \[\](){}|^<>]")
"""Is in no key or token."""
_CODE = re.compile(rb"[()\[\]{}]|=>|==[^=]|::|->")
_DOTTED = re.compile(rb"[A-Za-z_$]\w{0,31}(?:\.[A-Za-z_$]\w{0,31})+\Z")
_NAME = re.compile(rb"[A-Za-z_$][A-Za-z_0-9$]*\Z")
_PATH = re.compile(rb"(?:~|\.{1,2})/|/(?:[a-z]{1,12}|Users|Library|Applications)/|[A-Za-z]:[\\/]|/[\w.-]{1,24}\Z")
_FILE = re.compile(rb"[\w./-]*\.(?:pem|key|crt|json|ya?ml|txt|py|js|ts|env|toml|md|p12|pub|go|rs|java|html)\Z")
_SLUG = re.compile(rb"[A-Za-z]+(?:[-_.:/ ](?:[A-Za-z]+[0-9]?|v[0-9]{2,4}|[0-9]{1,4}))*+\Z")
"""Words with a separator: an identifier. No two of its parts match one text, else the time would double with each."""
_DIGIT = re.compile(rb"[0-9]")
_LETTER = re.compile(rb"[A-Za-z]")
_LOWER = re.compile(rb"[a-z]")
_UPPER = re.compile(rb"[A-Z]")


def is_secret(value: bytes, sure: Strength, form: Form) -> bool:
    """True if `value` is a credential, under a name of this strength, in this form."""
    value = value[:_JUDGED]
    if len(value) < 4 or is_placeholder(value, sure) or _is_path(value):
        return False
    if form == "bare" and _is_code(value):
        return False
    if sure == "basic":
        return _is_basic(value)
    if sure == "password":
        return _is_password(value, form)
    if _LETTER.search(value) is None or _NO_KEY.search(value) is not None:
        return False
    if sure == "key":
        if _DIGIT.search(value) is not None:
            return len(value) >= 8
        return len(value) >= 16 and _is_mixed(value) and _SLUG.match(value) is None
    return len(value) >= 16 and _DIGIT.search(value) is not None and _SLUG.match(value) is None


def _is_password(value: bytes, form: Form) -> bool:
    only_letters = _NAME.match(value) is not None and _DIGIT.search(value) is None
    if b" " in value:
        # A sentence is a label, unless it is what an environment variable is set to.
        return form == "env" and len(value) >= 12
    if form == "env":
        return True
    if form == "quoted":
        if not only_letters:
            return not (value.isdigit() and len(value) < 6)
        return len(value) >= 10 and not value[1:].islower()
    return not only_letters and not value.isdigit() and _SLUG_OF_LETTERS.match(value) is None


_SLUG_OF_LETTERS = re.compile(rb"[A-Za-z]+(?:[-_.:/][A-Za-z]+)*[.:!?,]?\Z")


def is_placeholder(value: bytes, sure: Strength) -> bool:
    """Return True if `value` stands for a credential and is none: `your-key-here`, `${TOKEN}`, `string`, `****`."""
    lower = value.lower().strip()
    if lower in TYPES or lower.rstrip(b"?!.;") in TYPES:
        return True
    if _REFERENCE.match(value) or _UNTIL.search(value) or _SCOPE.match(value):
        return True
    if len(set(value)) <= 2 and len(value) < 32:
        return True
    words = [word.lower() for word in _WORD.findall(value)]
    if b"your" in words or b"placeholder" in words or b"changeme" in words:
        return True
    if not words or not WORDS.issuperset(words):
        return False
    return sure != "password" or _DIGIT.search(value) is None


def _is_path(value: bytes) -> bool:
    if _FILE.match(value):
        return True
    # Base64 may begin with a slash, but is not a row of short words.
    return _PATH.match(value) is not None and not (len(value) >= 32 and value.count(b"/") < 4 and _is_mixed(value))


def _is_code(value: bytes) -> bool:
    if _CODE.search(value):
        return True
    if _DOTTED.match(value):
        return all(sum(map(str.isdigit, part)) <= 2 for part in value.decode("latin-1").split("."))
    if _NAME.match(value) and b"_" in value and _UPPER.search(value) is None:
        return any(word.lower() in WORDS for word in _WORD.findall(value))
    return False


def _is_mixed(value: bytes) -> bool:
    return _LOWER.search(value) is not None and _UPPER.search(value) is not None


def _is_basic(value: bytes) -> bool:
    try:
        user, colon, password = base64.b64decode(value, validate=True).partition(b":")
    except binascii.Error:
        return False
    return bool(user and colon and password) and user.isascii() and password.isascii() and user.decode().isprintable()
