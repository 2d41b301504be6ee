"""The call that a rule sends to a gateway, in the words of `gateways`: what is known of it, and what the item says."""

from __future__ import annotations

from collections.abc import Mapping

from sessiontap.exchange import Headers
from sessiontap.gateways import GatewayCall
from sessiontap.rules.decision import SessionFacts
from sessiontap.rules.facts import KnownFacts
from sessiontap.rules.rule_set import Rules
from sessiontap.rules.template import TemplateContext


def gateway_kind(rules: Rules, name: str) -> str:
    """Return the kind of the gateway that a rule names: of an item of `gateways:`, or a kind by itself."""
    item = rules.gateways.get(name)
    return item.kind if item is not None else name


def gateway_call(
    rules: Rules, name: str, known: KnownFacts, session: SessionFacts | None, proxy_env: Mapping[str, str]
) -> GatewayCall:
    """Return the call for the gateway of this name, without its upstream, its signature and its client's rights."""
    facts, item = known.facts, rules.gateways.get(name)
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
