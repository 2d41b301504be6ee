"""`alerts:` at the top of the file: the command and the webhook that are told of alerts and limits.

Its templates may hold values of the proxy's own environment and nothing else: there is no call whose they could be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sessiontap import trust
from sessiontap.push.target import holds_credential
from sessiontap.rules.facts import Facts, KnownFacts
from sessiontap.rules.kinds import TEMPLATE, WORD, Key, KeyMap, ListOf, MapOf, settable_header, url
from sessiontap.rules.node_reader import RulesReader
from sessiontap.rules.problems import BadValue, quoted
from sessiontap.rules.template import Template, TemplateContext

NOTIFIED = KeyMap((
    Key("run", ListOf(WORD, lone=True), "A command with its arguments. It gets the alert as JSON on standard input.",
        examples=(["notify-send", "Sessiontap"],)),
    Key("webhook", TEMPLATE, "An address that gets the alert as JSON by POST: https://, or http:// on this machine.",
        examples=("https://hooks.example/alerts", "${proxy_env.ALERT_WEBHOOK}")),
    Key("headers", MapOf(TEMPLATE, settable_header, True, "header"), "Headers of that request.",
        examples=({"Authorization": "Bearer ${proxy_env.ALERT_TOKEN}"},)),
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Notified:
    """Who is told of alerts and limits."""

    run: tuple[str, ...] = ()
    """A command line; empty: no command."""
    webhook: Template | None = None
    headers: Mapping[str, Template] = field(default_factory=dict)

    @property
    def templates(self) -> tuple[Template, ...]:
        """Return all templates in it."""
        return (*([self.webhook] if self.webhook is not None else ()), *self.headers.values())

    def settings(self, proxy_env: Mapping[str, str]) -> tuple[dict[str, Any], str | None]:
        """Return its values with templates rendered, and the reason why the webhook is left out, if it is."""
        context = TemplateContext(KnownFacts(Facts(None)), proxy_env)
        address = self.webhook.render(context) if self.webhook is not None else None
        headers = {name: template.render(context) for name, template in self.headers.items()}
        why = _why_no_webhook(self.webhook, address, headers)
        return {"run": self.run, "webhook": None if why else address, "headers": headers}, why


def notified(given: Mapping[str, Any] | None, reader: RulesReader) -> Notified | None:
    """Return who is told, of checked values. Adds problems to `reader`."""
    if given is None:
        return None
    webhook, headers = given.get("webhook"), given.get("headers", {})
    if "run" not in given and webhook is None:
        reader.problem("alerts", BadValue("nobody is told", "run, webhook"))
    elif headers and webhook is None:
        reader.problem("alerts.headers", BadValue("there is no webhook that would get them", "webhook beside them"))
    for name, template in (("webhook", webhook), *((f"headers.{header}", one) for header, one in headers.items())):
        for value in template.values() if template is not None else ():
            if not value.name.startswith("proxy_env."):
                bad = BadValue(f"this cannot depend on {quoted(value.name)}", "text or ${proxy_env.NAME}")
                reader.problem(f"alerts.{name}", bad, template.text)
    for header, template in headers.items():
        if holds_credential(header) and not template.is_secret:
            bad = BadValue(f"{quoted(header)} holds a credential", "${proxy_env.NAME}: the file is no place for it")
            reader.problem(f"alerts.headers.{header}", bad)
    if webhook is not None and not webhook.is_secret and (bad_url := _bad_url(webhook.text)) is not None:
        reader.problem("alerts.webhook", bad_url, webhook.text)
    return Notified(given.get("run", ()), webhook, headers)


def _bad_url(address: str) -> BadValue | None:
    try:
        url(address)
    except BadValue as bad:
        return bad
    if not trust.is_plain_beyond_loopback(address):
        return None
    what = f"{quoted(address)} would carry what alerts say over the network in clear"
    return BadValue(what, "https://HOST, or http:// on this machine (127.0.0.1, localhost, [::1])")


def _why_no_webhook(webhook: Template | None, address: str | None, headers: Mapping[str, str | None]) -> str | None:
    """Return why the webhook is left out, if it is. No text of an address: it may hold a key."""
    if webhook is None:
        return None
    missing = [template for template, value in (("webhook", address), *headers.items()) if value is None]
    if address is None or missing:
        return f"the webhook of alerts is not told: a variable of the proxy's environment is not set ({missing[0]})"
    if _bad_url(address) is not None:
        return "the webhook of alerts is not told: its address is neither https:// nor http:// on this machine"
    return None
