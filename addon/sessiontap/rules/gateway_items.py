"""The items of `gateways:`: their values, what is wrong with one, and the call that is sent to one.

The kinds of gateways, and how calls go through them, are in the package `gateways`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sessiontap import gateways as gateway_kinds
from sessiontap import trust
from sessiontap.exchange import Headers
from sessiontap.gateways import GatewayCall, GatewayKind
from sessiontap.gateways.failing_open import ANSWER_TIMEOUT, CONNECT_TIMEOUT
from sessiontap.rules.decision import SessionFacts
from sessiontap.rules.facts import Facts, KnownFacts
from sessiontap.rules.node_reader import RulesReader
from sessiontap.rules.problems import BadValue, closest, quoted
from sessiontap.rules.template import Template, TemplateContext, check_name, printable

GATEWAY_OPTIONS = ("fail", "retry_unanswered", "connect_timeout", "answer_timeout")
"""Keys of a gateway whose values are taken as they are."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """An item of `gateways:`."""

    name: str
    kind: str
    url: str | None
    key: Template | None
    path: Template | None = None
    headers: Mapping[str, Template] = field(default_factory=dict)
    fail: Literal["open", "closed"] = "open"
    retry_unanswered: bool = False
    connect_timeout: float = CONNECT_TIMEOUT
    """Seconds, as the next."""
    answer_timeout: float = ANSWER_TIMEOUT

    @property
    def templates(self) -> tuple[Template, ...]:
        """Return all templates in it."""
        return tuple(one for one in (self.key, self.path, *self.headers.values()) if one is not None)

    @property
    def headers_use_keys(self) -> bool:
        """True if a header holds a value of the proxy's own environment."""
        return any(template.is_secret for template in self.headers.values())

    def headers_from(self, context: TemplateContext) -> dict[str, str]:
        """Return its headers, filled in; those whose values are missing are left out."""
        filled = {name: template.render(context) for name, template in self.headers.items()}
        return {name: printable(value) for name, value in filled.items() if value is not None}

    def key_from(self, proxy_env: Mapping[str, str]) -> str | None:
        """Return its key, filled in from the proxy's environment, or None."""
        return self.key.render(TemplateContext(KnownFacts(Facts(None)), proxy_env)) if self.key is not None else None


def read_gateway(name: str, given: Mapping[str, Any], reader: RulesReader) -> Gateway:
    """Return an item. Problems are added to `reader`."""
    key = given.get("key")
    if key is not None:
        for value in key.values():
            if not value.name.startswith("proxy_env."):
                bad = BadValue(f"a gateway's key cannot depend on {quoted(value.name)}", "text or ${proxy_env.NAME}")
                reader.problem(f"gateways.{name}.key", bad, key.text)
    url = given.get("url")
    if url is not None and trust.is_plain_beyond_loopback(url):
        bad = BadValue(
            f"{quoted(url)} would carry the apps' own keys and prompts over the network in clear",
            "https://HOST, or http:// on this machine (127.0.0.1, localhost, [::1])",
        )
        reader.problem(f"gateways.{name}.url", bad, url)
    path, headers = given.get("path"), given.get("headers", {})
    for place, template in (("path", path), *((f"headers.{header}", one) for header, one in headers.items())):
        for value in template.values() if template is not None else ():
            try:
                check_name(value, frozenset())
            except BadValue as unknown:
                reader.problem(f"gateways.{name}.{place}", unknown, template.text)
    if path is not None and path.is_secret:
        bad = BadValue("a gateway's path is no place for a value of the proxy's own environment", "a header for it")
        reader.problem(f"gateways.{name}.path", bad, path.text)
    if (kind := gateway_kinds.KINDS.get(given.get("kind", ""))) is not None:
        _check_kind(name, given, kind, reader)
    options = {option: given[option] for option in GATEWAY_OPTIONS if option in given}
    return Gateway(name, given.get("kind", ""), url, key, path, headers, **options)


def _check_kind(name: str, given: Mapping[str, Any], kind: GatewayKind, reader: RulesReader) -> None:
    """Note what a gateway of this kind lacks, or has and cannot use."""
    if kind.needs_url and "url" not in given:
        reader.problem(f"gateways.{name}", BadValue(f"a gateway of kind {kind.name} needs a url"))
    if not kind.takes_key and "key" in given:
        bad = BadValue(f"a gateway of kind {kind.name} takes no key", "a header for it, under headers")
        reader.problem(f"gateways.{name}.key", bad, given["key"].text)
    if not kind.has_path and "path" in given:
        bad = BadValue(f"a gateway of kind {kind.name} has paths of its own", "no path, or kind: custom")
        reader.problem(f"gateways.{name}.path", bad, given["path"].text)


def check_named(path: str, name: str, gateways: Mapping[str, Gateway], reader: RulesReader) -> None:
    """Add a problem to `reader` if a rule names no gateway: no item, and no kind that needs none."""
    if name in gateways:
        return
    if (kind := gateway_kinds.KINDS.get(name)) is not None:
        if kind.needs_url:
            what = f"a gateway of kind {name} has no address of its own"
            expected = f"the name of one under gateways: {{NAME: {{kind: {name}, url: ...}}}}"
            reader.problem(path, BadValue(what, expected), name)
        return
    known = (*gateway_kinds.KINDS, *gateways)
    if name in gateway_kinds.LATER:
        bad = BadValue(f"the gateway {quoted(name)} is not yet available in this version", "one of " + ", ".join(known))
    else:
        bad = BadValue(f"there is no gateway {quoted(name)}", "one of " + ", ".join(known), closest(name, known))
    reader.problem(path, bad, name)


def gateway_kind(gateways: Mapping[str, Gateway], name: str) -> str:
    """Return the kind of the gateway that a rule names: of an item of `gateways:`, or a kind by itself."""
    item = gateways.get(name)
    return item.kind if item is not None else name


def gateway_call(
    gateways: Mapping[str, Gateway],
    name: str,
    known: KnownFacts,
    session: SessionFacts | None,
    proxy_env: Mapping[str, str],
) -> GatewayCall:
    """Return the call for the gateway of this name, without its upstream, its signature and its client's rights."""
    facts, item = known.facts, gateways.get(name)
    request, filled_from = facts.request, TemplateContext(known, proxy_env, session)
    return GatewayCall(
        scheme=request.scheme if request is not None else "",
        host=facts.host or "",
        port=request.port if request is not None else 0,
        headers=request.headers if request is not None else Headers(),
        target=request.target if request is not None else "/",
        method=request.method if request is not None else "",
        provider=facts.provider,
        model=known.model,
        body=facts.call.json if facts.call is not None else None,
        name=name,
        url=item.url if item else None,
        key=item.key_from(proxy_env) if item else None,
        has_path=item is not None and item.path is not None,
        path=item.path.render(filled_from) if item is not None and item.path is not None else None,
        own_headers=item.headers_from(filled_from) if item is not None else {},
        own_headers_use_keys=item is not None and item.headers_use_keys,
        proxy_env=proxy_env,
    )
