"""The input of a replay beside its server: the recorded calls that are named, and keys for a program that has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from sessiontap.cli.errors import Failure
from sessiontap.exchange import Headers, UrlParts

if TYPE_CHECKING:
    from sessiontap.trace import RecordedCall, Trace

RANGE = ".."
DUMMY_KEY = "sessiontap-replay"
KEY_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "azure": ("AZURE_OPENAI_API_KEY",),
    "bedrock": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "cohere": ("CO_API_KEY", "COHERE_API_KEY"),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "groq": ("GROQ_API_KEY",),
    "mistral": ("MISTRAL_API_KEY",),
    "openai": ("OPENAI_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY",),
    "xai": ("XAI_API_KEY",),
}
"""A provider, and the variables from which clients take its key."""
_CLIENTS: Mapping[str, str] = {
    "anthropic-messages": "anthropic",
    "cohere": "cohere",
    "gemini": "google",
    "gemini-interactions": "google",
    "mistral-conversations": "mistral",
    "openai-chat": "openai",
    "openai-completions": "openai",
    "openai-embeddings": "openai",
    "openai-responses": "openai",
    "realtime": "openai",
}
"""A wire family, and the provider whose client calls a server that is nobody's in that table: one of this machine."""
_KEY_HEADERS = frozenset({"authorization", "api-key", "x-api-key", "x-goog-api-key"})
_LOGIN_HOSTS = ("chatgpt.com", "cloudcode-pa.googleapis.com")
"""Agents call these with a user's login alone; a key in the environment would change how they work."""


def recorded_calls(log: Trace, named: Sequence[str]) -> list[RecordedCall]:
    """Return the calls of sessions (`@1`), calls (`@1/3`) and ranges of calls (`@1/0..@1/5`), oldest first.

    Raises TraceError, and Failure if there are none.
    """
    found: dict[str, RecordedCall] = {}
    for one in named:
        found |= {call.id: call for call in _named(log, one)}
    if not found:
        raise Failure(f"{', '.join(named)} has no calls", "sessiontap ls lists sessions")
    return sorted(found.values(), key=lambda call: (call.record["time"], call.id))


def _named(log: Trace, named: str) -> Iterable[RecordedCall]:
    first, dots, last = named.partition(RANGE)
    if not dots:
        return [log.call(named)] if "/" in named else log.run_of(named).calls
    begin, end = sorted((log.call(first), log.call(last)), key=lambda call: call.record["time"])
    session = begin.session_id
    same = session is not None and session == end.session_id
    calls = log.run_of(session).calls if same and session else log.calls(newest_first=False, warm_ups=True)
    return [call for call in calls if begin.record["time"] <= call.record["time"] <= end.record["time"]]


def dummy_keys(calls: Iterable[RecordedCall], environ: Mapping[str, str]) -> dict[str, str]:
    """Return keys for the providers of these calls, if the recorded program had one and this environment has none.

    Clients refuse to start without a key. A replay's server asks for none.
    """
    found: dict[str, str] = {}
    for call in calls:
        variables = KEY_VARIABLES.get(_client_of(call), ())
        if _had_key(call) and not any(map(environ.get, variables)):
            found |= dict.fromkeys(variables, DUMMY_KEY)
    return found


def all_dummy_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """Return keys for all providers of which this environment has none."""
    unset = (names for names in KEY_VARIABLES.values() if not any(map(environ.get, names)))
    return dict.fromkeys((name for names in unset for name in names), DUMMY_KEY)


def login_variables(calls: Iterable[RecordedCall]) -> set[str]:
    """Return the variables of keys that the recorded program did not use: it had a login, which a key would change."""
    calls = list(calls)
    providers = set(map(_client_of, calls))
    with_key = dummy_keys(calls, {}).keys()
    return {name for provider in providers for name in KEY_VARIABLES.get(provider, ())} - with_key


def _client_of(call: RecordedCall) -> str:
    """Return the provider whose key the program's client looks for; empty if it is not known."""
    llm = call.record.get("llm") or {}
    provider = llm.get("provider") or ""
    return provider if provider in KEY_VARIABLES else _CLIENTS.get(llm.get("family") or "", "")


def _had_key(call: RecordedCall) -> bool:
    """Return True if a call was made with a key, as far as its headers tell: not with a login."""
    headers = Headers((call.record.get("request") or {}).get("headers") or ())
    is_login = call.record.get("host") in _LOGIN_HOSTS or "oauth" in (headers.get("anthropic-beta") or "")
    return not is_login and not _KEY_HEADERS.isdisjoint(headers.first)


def loopback_ports(calls: Iterable[RecordedCall]) -> set[int]:
    """Return the ports of this machine at which calls were made."""
    from sessiontap.replay.api import LOOPBACK

    local = [UrlParts.of(call.record["request"]["url"]) for call in calls if call.record.get("host") in LOOPBACK]
    return {url.port or (443 if url.scheme == "https" else 80) for url in local}


def hosts_of(calls: Iterable[RecordedCall]) -> list[str]:
    """Return the hosts of calls."""
    return list(dict.fromkeys(str(call.record["host"]) for call in calls if call.record.get("host")))
