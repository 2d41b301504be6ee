"""Tell a value under a credential's name that is a credential from a placeholder, a reference, a type, code.

`TOKEN=your-token-here`, `password: string`, `api_key=os.getenv("KEY")`, `PASSWORD=""` and `max_tokens: 4096` are none:
a redacted word that is none is a defect too. The decision is pure and sees the value as it stands in the text.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Literal

from sessiontap.redaction.credential_names import Strength

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
_SLUG = re.compile(rb"[A-Za-z]+(?:[-_.:/ ](?:[A-Za-z]+[0-9]?|v?[0-9]{1,4}))*\Z")
"""Words with a separator: an identifier."""
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
    """True if `value` stands where a credential goes, and is none: `your-key-here`, `${TOKEN}`, `string`, `****`."""
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
