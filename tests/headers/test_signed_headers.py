"""Which headers of a request AWS signed."""

from __future__ import annotations

import pytest

from sessiontap.exchange import Headers
from sessiontap.headers import signed_headers

ALWAYS = {"authorization", "host", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"}
CREDENTIAL = "Credential=AKIDEXAMPLE/20261121/us-east-1/bedrock/aws4_request"


@pytest.mark.parametrize(
    ("authorization", "target", "signed"),
    [
        pytest.param(
            f"AWS4-HMAC-SHA256 {CREDENTIAL}, SignedHeaders=content-type;host;x-amz-date, Signature=ab12",
            "/model/m/converse",
            ALWAYS | {"content-type"},
            id="version 4",
        ),
        pytest.param(
            f"AWS4-HMAC-SHA256 {CREDENTIAL},SignedHeaders=Content-Type;host,Signature=ab12",
            "/",
            ALWAYS | {"content-type"},
            id="without spaces",
        ),
        pytest.param(
            f"AWS4-ECDSA-P256-SHA256 {CREDENTIAL}, SignedHeaders=accept;host, Signature=ab12",
            "/",
            ALWAYS | {"accept"},
            id="version 4A",
        ),
        pytest.param(f"AWS4-HMAC-SHA256 {CREDENTIAL}, Signature=ab12", "/", ALWAYS, id="signed, but not saying what"),
        pytest.param(
            None,
            "/ws?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-SignedHeaders=host%3Bx-team&X-Amz-Signature=ab12",
            ALWAYS | {"x-team"},
            id="presigned",
        ),
        pytest.param("Bearer bedrock-api-key-abc", "/model/m/converse", set(), id="an API key"),
        pytest.param("Bearer SignedHeaders=host", "/?q=SignedHeaders=host", set(), id="the word alone"),
        pytest.param(None, "/?q=x-amz-signedheaders", set(), id="the word in a value"),
        pytest.param(None, "/", set(), id="nothing"),
    ],
)
def test_signed_headers(authorization: str | None, target: str, signed: set[str]) -> None:
    headers = Headers([("Authorization", authorization)] if authorization else [])
    assert signed_headers(headers, target) == signed
