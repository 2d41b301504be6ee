"""Failing open: which calls go to their own host when their gateway fails. Pure; `proxy/failover.py` carries it out.

    failure               the gateway                                             goes direct
    gateway_unreachable   cannot be found, connected or trusted in TLS            yes: nobody has got the call
    gateway_refused       answered with a failure of its own (`failure.py`)       yes: no provider has got the call
    gateway_unanswered    got the call, then broke off or said nothing for long   only with `retry_unanswered: true`:
                                                                                  a provider may be at work for it
    policy                answered for a control that somebody set there          never
    provider_error        passed a provider's failure on                          never

A call goes direct only while the client has got no byte of a reply, while the request's body is still held, and if
neither its rule nor its gateway says `fail: closed`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from sessiontap.gateways.breaker import GatewayAddress

FailureKind = Literal["gateway_unreachable", "gateway_refused", "gateway_unanswered", "policy", "provider_error"]

CONNECT_TIMEOUT = 3.0
"""Seconds that a gateway may take to be connected, TLS included."""
ANSWER_TIMEOUT = 120.0
"""Seconds that it may take for the first byte of a reply: a model may think for long."""


class GatewayUse(NamedTuple):
    """A call's use of a gateway: which one, and what is done if it fails."""

    gateway: GatewayAddress
    kind: str
    fail_open: bool = True
    retry_unanswered: bool = False
    connect_timeout: float = CONNECT_TIMEOUT
    answer_timeout: float = ANSWER_TIMEOUT


def may_go_direct(use: GatewayUse, failure: FailureKind, *, reply_begun: bool, body_held: bool) -> bool:
    """Return True if a call goes to its own host because of a failure.

    `reply_begun`: the client has got a part of a reply; `body_held`: the request's body can be sent once more.
    """
    if not use.fail_open or reply_begun or not body_held:
        return False
    if failure == "gateway_unanswered":
        return use.retry_unanswered
    return failure in ("gateway_unreachable", "gateway_refused")


def counts_as_failure(failure: FailureKind | None) -> bool:
    """Return True if the gateway's breaker counts it: the gateway did not do its work."""
    return failure in ("gateway_unreachable", "gateway_refused", "gateway_unanswered")


def why_direct(use: GatewayUse, failure: FailureKind) -> str:
    """Return the reason that a call's record gives for its own host. It does not differ from call to call."""
    reasons = {
        "gateway_unreachable": "could not be reached",
        "gateway_refused": "failed by itself, before any provider",
        "gateway_unanswered": "got the call and did not answer",
    }
    return f"{failure}: the gateway {use.gateway} {reasons[failure]}"


def why_skipped(use: GatewayUse) -> str:
    """Return the same for a call that was not tried there, since the gateway's breaker is open."""
    return f"gateway_skipped: the gateway {use.gateway} has failed lately, so calls go to their own hosts for a while"
