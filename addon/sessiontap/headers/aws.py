"""Requests signed by AWS Signature Version 4: what was signed must reach the server as it is, or it refuses the call.

Signed requests name their headers in `Authorization: AWS4-HMAC-SHA256 Credential=..., SignedHeaders=a;b, Signature=...`
(Version 4A: AWS4-ECDSA-P256-SHA256), presigned URLs in the query parameter X-Amz-SignedHeaders. Others may be added.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from sessiontap.exchange import Headers

_SIGNED_HEADERS = re.compile(r"\bSignedHeaders=([^,\s]+)", re.IGNORECASE)
_ALWAYS = frozenset({"authorization", "host", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"})
"""Headers of the signature itself, named in it or not."""


def signed_headers(headers: Headers, target: str = "") -> frozenset[str]:
    """Lower-case names of the headers that must not change; empty if the request is not signed.

    `target` is the request's path and query.
    """
    names: list[str] = []
    for value in headers.all("authorization"):
        if value[:5].upper() == "AWS4-":
            found = _SIGNED_HEADERS.search(value)
            names += ["authorization", *(found[1].split(";") if found else ())]
    if "x-amz-sign" in target.lower():
        for name, value in parse_qsl(target.partition("?")[2], keep_blank_values=True):
            if name.lower() == "x-amz-signedheaders":
                names += ["host", *value.split(";")]
            elif name.lower() == "x-amz-signature":
                names.append("host")
    return frozenset(name.strip().lower() for name in names if name.strip()) | _ALWAYS if names else frozenset()
