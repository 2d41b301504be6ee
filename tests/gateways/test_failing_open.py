"""Which calls go to their own host when their gateway fails."""

from __future__ import annotations

from typing import Any

import pytest

from sessiontap.gateways.breaker import GatewayAddress
from sessiontap.gateways.failing_open import FailureKind, GatewayUse, counts_as_failure, may_go_direct, why_direct

ADDRESS = GatewayAddress("mine", "https://gateway.example:443")


@pytest.mark.parametrize(
    ("failure", "options", "expected"),
    [
        ("gateway_unreachable", {}, True),
        ("gateway_refused", {}, True),
        ("gateway_unanswered", {}, False),
        ("gateway_unanswered", {"retry_unanswered": True}, True),
        ("policy", {}, False),
        ("policy", {"retry_unanswered": True}, False),
        ("provider_error", {}, False),
        ("provider_error", {"retry_unanswered": True}, False),
        ("gateway_unreachable", {"fail_open": False}, False),
        ("gateway_refused", {"fail_open": False}, False),
        ("gateway_unanswered", {"fail_open": False, "retry_unanswered": True}, False),
    ],
)
def test_a_call_goes_direct(failure: FailureKind, options: dict[str, Any], expected: bool) -> None:
    use = GatewayUse(ADDRESS, "helicone", **options)
    assert may_go_direct(use, failure, reply_begun=False, body_held=True) is expected
    for reply_begun, body_held in ((True, True), (False, False), (True, False)):
        assert not may_go_direct(use, failure, reply_begun=reply_begun, body_held=body_held)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        ("gateway_unreachable", True),
        ("gateway_refused", True),
        ("gateway_unanswered", True),
        ("policy", False),
        ("provider_error", False),
        (None, False),
    ],
)
def test_the_breaker_counts(failure: FailureKind | None, expected: bool) -> None:
    assert counts_as_failure(failure) is expected


def test_the_reason_of_a_record_begins_with_the_class_of_the_failure() -> None:
    assert why_direct(GatewayUse(ADDRESS, "helicone"), "gateway_unreachable") == (
        "gateway_unreachable: the gateway mine at https://gateway.example:443 could not be reached"
    )
