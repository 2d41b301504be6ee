"""The cost of a call, by the first of these that tells it.

1. The provider's own figure.
2. The table of calls that nobody charges for (uncharged.py): free operations, calls that failed before a model ran.
3. The user's own rates for the model.
4. The place that the call went to: the user's own hosts cost nothing, a subscription is not paid by the call. A call
   that asks no model has no price per token.
5. The list of genai-prices.

A call is known by its record (docs/trace-format.md): `llm`, `outcome`, `host`, `route`, `time`, method and status.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from sessiontap.prices import catalogue, uncharged
from sessiontap.prices.tariff import NOTHING, Parts, Rates, Tariff, Unknown, input_tokens, parts_of

Source = Literal["reported", "free", "not charged", "no model call", "rules", "local", "genai-prices"]

RatesOf = Callable[[str], Rates | None]
"""A model's name -> the user's own rates for it."""

TariffOf = Callable[[str | None, tuple[str, ...], int, str | None, str | None], Tariff]
"""As `catalogue.find`: provider, the model's names, time, tier, speed. Raises `Unknown`."""

WindowOf = Callable[[str | None, tuple[str, ...]], int | None]
"""As `catalogue.window`: provider, the model's names."""

_ANSWERS = 4
"""Raise it by one when the same record and the same list get another answer than before."""

SUBSCRIPTIONS: tuple[tuple[str, str], ...] = (
    # host, start of the route
    ("chatgpt.com", "/"),  # Codex with a ChatGPT login
    ("*.githubcopilot.com", "/"),
    ("copilot-proxy.githubusercontent.com", "/"),
    ("*.cursor.sh", "/"),
    ("cloudcode-pa.googleapis.com", "/"),  # Gemini CLI with a Google login
    ("cli-chat-proxy.grok.com", "/"),  # Grok CLI with a login
    ("api.z.ai", "/api/coding/"),  # GLM coding plan
    ("open.bigmodel.cn", "/api/coding/"),
)
"""Hosts and routes that are paid by the month, not by the token."""

_LOCAL_NAMES = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
_SHARED = ipaddress.ip_network("100.64.0.0/10")  # RFC 6598: overlay networks between one's own machines

_DIRECT = frozenset(("foundation-model", "inference-profile"))
"""Resources of Bedrock whose name is a model's; other ARNs stand for a deployment or a profile of the user's own."""


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars and who says so; or None, and why.

    `source` "no model call": the call has no price per token, and no sum misses it. No source: it cost something, and
    nobody knows how much.
    """

    usd: float | None
    source: Source | None = None
    reason: str | None = None
    """Why it is 0, or why it is not known."""
    parts: Parts | None = None
    """The amount by what was paid for; None if there is none."""

    @property
    def is_unknown(self) -> bool:
        """Sums that leave it out are too small."""
        return self.usd is None and self.source is None


def version() -> str:
    """Return the versions of this package and of the price list, on which answers depend. Loads neither."""
    return f"{_ANSWERS} genai-prices {_of_the_list()}"


def _of_the_list() -> str:
    """Return the list's version by its metadata folder's name: reading the metadata takes 6 ms of each `ls`."""
    spec = find_spec("genai_prices")
    if spec is not None and spec.origin is not None:
        found = list(Path(spec.origin).parents[1].glob("genai_prices-*.dist-info"))
        if len(found) == 1:
            return found[0].name.removeprefix("genai_prices-").removesuffix(".dist-info")
    from importlib import metadata

    return metadata.version("genai-prices")


def no_rates(model: str) -> Rates | None:
    """Return None: the user has no rates."""
    return None


def cost_of(
    call: Mapping[str, Any], rates_of: RatesOf = no_rates, tariff_of: TariffOf = catalogue.find
) -> Cost:
    """Return the cost of the call of this record. Never raises."""
    llm = call.get("llm") or {}
    try:
        return _cost(call, llm, rates_of, tariff_of)
    except Unknown as why:
        return Cost(None, reason=str(why))


def rates_for(
    call: Mapping[str, Any], rates_of: RatesOf = no_rates, tariff_of: TariffOf = catalogue.find
) -> Rates | None:
    """Return the rates at which the tokens of the call of this record are paid; None if they are not known.

    They are all 0 if nobody charges for the call. A provider's own figure says nothing of its rates: the list does.
    """
    llm = call.get("llm") or {}
    try:
        return rates_on(rates_terms(call, llm, rates_of), call, llm, tariff_of)
    except Unknown:
        return None


def rates_terms(call: Mapping[str, Any], llm: Mapping[str, Any], rates_of: RatesOf) -> Rates | tuple[str, ...]:
    """Return the rates of a call; or the names of its model that the list may know. Raises `Unknown`."""
    row = uncharged.find(call, llm)
    if row is not None and row.verdict == "free":
        return NOTHING
    if (own := _own_rates(llm, rates_of)) is not None:
        return own
    if _is_own_host(call, llm):
        return NOTHING
    if not llm.get("usage"):
        raise Unknown("no usage was reported")
    _check_paid_by_the_token(call, llm)
    return _model(llm)


def rates_on(
    terms: Rates | tuple[str, ...], call: Mapping[str, Any], llm: Mapping[str, Any], tariff_of: TariffOf
) -> Rates:
    """Return the rates of a call on these terms, by its time and tokens. Raises `Unknown`."""
    if isinstance(terms, Rates):
        return terms
    return listed(call, llm, terms, tariff_of).at(input_tokens(llm["usage"], llm.get("billed") or {}))


_OF_ONE_WINDOW = frozenset(("chat", "text_completion", "realtime"))
"""Operations whose input stands in the window of one run of the model."""


def window_of(call: Mapping[str, Any], window: WindowOf = catalogue.window) -> int | None:
    """Return the tokens that the context window of the model of this record's call holds; None if it is not known.

    The window is the model's own, whoever pays: also of a subscription, or at the user's own prices. If the provider
    ran tools within the call, its count is of several prompts, and no window holds them all.
    """
    llm = call.get("llm") or {}
    billed = llm.get("billed") or {}
    if llm.get("operation") not in _OF_ONE_WINDOW or billed.get("web_searches") or billed.get("tools"):
        return None
    if _is_own_host(call, llm):
        return None
    try:
        return window(llm.get("provider"), _model(llm))
    except Unknown:
        return None


def _cost(call: Mapping[str, Any], llm: Mapping[str, Any], rates_of: RatesOf, tariff_of: TariffOf) -> Cost:
    reported = llm.get("cost_reported")
    if reported is not None:
        return Cost(float(reported), "reported", parts=Parts(other=float(reported)))
    terms = terms_of(call, llm, rates_of)
    return terms if isinstance(terms, Cost) else priced(terms, call, llm, tariff_of)


Terms = Cost | Rates | tuple[str, ...]
"""The cost of a call; or the user's own rates for it; or the names of its model that the list may know."""


def terms_of(call: Mapping[str, Any], llm: Mapping[str, Any], rates_of: RatesOf) -> Terms:
    """Return what decides the cost of a call without its tokens and its time. Raises `Unknown`."""
    usage = llm.get("usage")
    row = uncharged.find(call, llm)
    if row is not None and (row.verdict == "free" or (row.verdict == "not charged" and not usage)):
        return Cost(0.0, row.verdict, row.reason)
    if usage:
        if _repeats(llm):
            return Cost(0.0, "free", "a response that is fetched again is billed where it was asked for")
        if (rates := _own_rates(llm, rates_of)) is not None:
            return rates
    if _is_own_host(call, llm):
        return Cost(0.0, "local")
    if row is not None and not usage:
        return Cost(None, row.verdict, row.reason)
    _check_paid_by_the_token(call, llm)
    if not usage:
        raise Unknown(_without_usage(call, llm))
    if tools := (llm.get("billed") or {}).get("tools"):
        raise Unknown(f"the provider also bills for {', '.join(tools)}")
    return _model(llm)


def priced(
    terms: Rates | tuple[str, ...], call: Mapping[str, Any], llm: Mapping[str, Any], tariff_of: TariffOf
) -> Cost:
    """Return the cost of a call that used tokens, on its terms. Raises `Unknown`."""
    usage, billed = llm["usage"], llm.get("billed") or {}
    source: Source = "rules"
    if isinstance(terms, Rates):
        rates = terms
    else:
        source, rates = "genai-prices", listed(call, llm, terms, tariff_of).at(input_tokens(usage, billed))
    parts = parts_of(usage, billed, rates, llm.get("operation"))
    amounts: dict[str, float] = {name: float(usd) for name, usd in parts.items()}
    return Cost(float(sum(parts.values())), source, parts=Parts(**amounts))


def _own_rates(llm: Mapping[str, Any], rates_of: RatesOf) -> Rates | None:
    """Return the user's own rates for the model."""
    return next((rates for name in _names(llm) if (rates := rates_of(name)) is not None), None)


def _is_own_host(call: Mapping[str, Any], llm: Mapping[str, Any]) -> bool:
    """Return True for a host of the user's own. A rule may say by `hosts:` that it passes calls on to a provider."""
    return is_local(call.get("host") or "") and not catalogue.has_list(llm.get("provider"))


def _check_paid_by_the_token(call: Mapping[str, Any], llm: Mapping[str, Any]) -> None:
    """Raise `Unknown` for a subscription and for a batch."""
    host, route = call.get("host") or "", call.get("route") or ""
    if (llm.get("billed") or {}).get("subscription") or is_subscription(host, route):
        raise Unknown(f"subscription: {host} is not paid for by the call")
    if llm.get("operation") == "batch":
        raise Unknown("the calls of a batch are billed with the batch")


def listed(call: Mapping[str, Any], llm: Mapping[str, Any], names: tuple[str, ...], tariff_of: TariffOf) -> Tariff:
    """Return the list's tariff of the call. Raises `Unknown`."""
    moment, speed = int(call.get("time") or 0), (llm.get("billed") or {}).get("speed")
    return tariff_of(llm.get("provider"), names, moment, llm.get("service_tier"), speed)


def _repeats(llm: Mapping[str, Any]) -> bool:
    """Return True if the usage is that of an earlier call, whose reply is fetched again."""
    if llm.get("operation") != "other":
        return False
    from sessiontap.llm.families import family_of  # 55 ms

    return family_of(llm.get("family") or "").other_repeats


def _without_usage(call: Mapping[str, Any], llm: Mapping[str, Any]) -> str:
    outcome = call.get("outcome")
    if outcome == "http_error":
        status = (call.get("response") or {}).get("status")
        return f"the call failed ({status or outcome}), and no usage was reported"
    if outcome not in (None, "ok"):
        cut = "the reply was cut" if call.get("response") else "no reply came"
        return f"{cut} ({outcome}), and no usage was reported"
    return "an error came instead of usage" if llm.get("error") else "no usage was reported"


def _names(llm: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the model: the reply's, then the request's."""
    return tuple(dict.fromkeys(filter(None, (llm.get("response_model"), llm.get("request_model")))))


def _model(llm: Mapping[str, Any]) -> tuple[str, ...]:
    """Return names of the model that the list may know, the surest first. Raises `Unknown`.

    The reply's name counts; the request's stands in if the reply's is a dated or numbered version of it. At Azure the
    request's is a deployment's name, which may be anything; at Bedrock it alone tells a region's price from the global.
    """
    asked, answered = llm.get("request_model"), llm.get("response_model")
    provider = llm.get("provider")
    if provider == "bedrock":
        routed = answered if answered and answered.startswith("arn:") else None  # a prompt router says which it took
        if (named := routed or asked) is None:
            raise Unknown("the model is not named")
        return (_bedrock(named),)
    if answered is None and asked is None:
        raise Unknown("neither request nor response names the model")
    if provider == "azure":
        if answered is None:
            raise Unknown(f"{asked} is a deployment of Azure, and the response does not name the model")
        return (answered,)
    if provider in ("google", "vertex"):
        asked, answered = (name.rpartition("/")[2] if name else None for name in (asked, answered))
    if answered is None:
        return (asked or "",)
    return (answered, asked) if asked and answered.lower().startswith(asked.lower()) else (answered,)


def _bedrock(model: str) -> str:
    if not model.startswith("arn:"):
        return model
    kind, _, name = model.split(":", 5)[-1].partition("/")
    if kind not in _DIRECT or not name:
        raise Unknown(f"{model} does not name the model")
    return name


@lru_cache(maxsize=4096)
def is_local(host: str) -> bool:
    """Return True for this machine and private networks: loopback and private addresses, names of one label
    (`localhost`, a container's), and names of a local network (`host.docker.internal`)."""
    name = host.lower().rstrip(".").strip("[]")
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return bool(name) and ("." not in name or name.endswith(_LOCAL_NAMES))
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_private or address.is_loopback or address.is_link_local or address in _SHARED


@lru_cache(maxsize=4096)
def is_subscription(host: str, route: str) -> bool:
    """Return True if calls there are part of a subscription."""
    name = host.lower().rstrip(".")
    return any(fnmatchcase(name, pattern) and route.startswith(start) for pattern, start in SUBSCRIPTIONS)
