"""The steps by which a runtime trusts the proxy's certificate: a sentence for the user whose program does not.

Nearly all take the variables that `sessiontap env` prints. Here are those that take another, or a setting in code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from sessiontap.callers import Caller

_BUNDLE = "the bundle that `sessiontap env` names as SSL_CERT_FILE"


class Runtime(NamedTuple):
    """Programs, by their names, and what they need."""

    names: re.Pattern[str]
    needs: str


def _runtime(names: str, needs: str) -> Runtime:
    return Runtime(re.compile(names), needs)


RUNTIMES: Sequence[Runtime] = (
    _runtime(
        r"wget",
        f"wget takes its CA from a wgetrc: SYSTEM_WGETRC=FILE, with `ca_certificate = BUNDLE` in it, {_BUNDLE}",
    ),
    _runtime(
        r"php(-cgi|-fpm)?[\d.]*",
        f"PHP takes its CA from an ini file: `curl.cainfo = BUNDLE` and `openssl.cafile = BUNDLE`, {_BUNDLE}, in a "
        "folder that PHP_INI_SCAN_DIR names as `:FOLDER`",
    ),
    _runtime(
        r"javaw?|kotlin|scala|gradle|mvn",
        "Java takes its CA from a trust store: start it with JAVA_TOOL_OPTIONS as `sessiontap env` prints it; code "
        "with a trust store of its own has to load that one",
    ),
    _runtime(
        r"python[\d.]*t?|pypy[\d.]*",
        "Python's packages take SSL_CERT_FILE (httpx, aiohttp, urllib), REQUESTS_CA_BUNDLE (requests) or AWS_CA_BUNDLE "
        f"(botocore), as `sessiontap env` prints them; pycurl needs CAINFO in code: {_BUNDLE}",
    ),
    _runtime(
        r"node(js)?|npm|npx|electron",
        "Node takes NODE_EXTRA_CA_CERTS, as `sessiontap env` prints it, when it starts; code that sets `ca` needs it "
        "there",
    ),
    _runtime(r"bun", "Bun takes NODE_EXTRA_CA_CERTS or SSL_CERT_FILE, as `sessiontap env` prints them"),
    _runtime(r"deno", "Deno takes DENO_CERT, as `sessiontap env` prints it"),
    _runtime(r"ruby[\d.]*|bundle|rake", "Ruby takes SSL_CERT_FILE, as `sessiontap env` prints it"),
    _runtime(r"git", "git takes GIT_SSL_CAINFO, as `sessiontap env` prints it"),
    _runtime(
        r"curl",
        "curl takes CURL_CA_BUNDLE, as `sessiontap env` prints it, but not beside --cacert or --pinnedpubkey",
    ),
    _runtime(
        r"dotnet|pwsh",
        ".NET takes SSL_CERT_FILE on Linux, as `sessiontap env` prints it; elsewhere the system's store",
    ),
)
"""The first that one of a process's names fits."""
OTHERS = (
    "Start it with the variables that `sessiontap env` prints: Go and Rust programs take SSL_CERT_FILE. One with "
    "certificates of its own, or with a fingerprint, cannot be captured"
)


def needs(caller: Caller | None) -> str:
    """Return what a program needs so that it trusts, in a sentence without its full stop."""
    names = [*caller.names, (caller.exe or "").rpartition("/")[2]] if caller is not None else []
    for runtime in RUNTIMES:
        if any(runtime.names.fullmatch(name.lower().removesuffix(".exe")) for name in names):
            return runtime.needs
    return OTHERS
