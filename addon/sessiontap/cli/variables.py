"""The variables by which programs find the proxy and trust it; which runtime reads which is in docs (clients).

A variable that names a bundle usually replaces the program's own roots, so it gets the combined bundle: system roots,
the user's own, the proxy's CA. The two that only add get the proxy's CA alone, unless the user had set them.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

PROXY = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
NO_PROXY = ("NO_PROXY", "no_proxy")
LOOPBACK = ("localhost", "127.0.0.1", "::1")

REPLACING = (
    "SSL_CERT_FILE",  # OpenSSL, Python's ssl and httpx, Go, rustls native roots, Bun, curl
    "REQUESTS_CA_BUNDLE",  # requests, botocore
    "CURL_CA_BUNDLE",  # curl, requests
    "AWS_CA_BUNDLE",  # botocore, AWS CLI
    "GIT_SSL_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "CODEX_CA_CERTIFICATE",
)
ADDING = ("NODE_EXTRA_CA_CERTS", "DENO_CERT")
NODE_PROXY = "NODE_USE_ENV_PROXY"  # Node >= 22.21 / 24.5 ignores the proxy variables without it
JAVA = "JAVA_TOOL_OPTIONS"  # the JVM reads neither the proxy's nor the CA's variables


def variables(
    proxy_url: str, bundle: str, ca: str, environ: Mapping[str, str] | None = None, truststore: str | None = None
) -> dict[str, str]:
    """Name -> value.

    `bundle`, `ca`: PEM files of the combined bundle and of the proxy's CA; `truststore`: the bundle as a PKCS #12 file
    for Java, which is left alone without one. `environ`: what is set already; its NO_PROXY and JAVA_TOOL_OPTIONS are
    kept and added to.
    """
    environ = environ or {}
    found = dict.fromkeys(PROXY, proxy_url)
    found |= dict.fromkeys(NO_PROXY, _no_proxy(environ))
    found |= dict.fromkeys(REPLACING, bundle)
    for name in ADDING:
        found[name] = bundle if environ.get(name) else ca
    found[NODE_PROXY] = "1"
    if truststore is not None:
        found[JAVA] = _java(proxy_url, truststore, environ.get(JAVA, ""))
    return found


def _no_proxy(environ: Mapping[str, str]) -> str:
    """What was excepted already, and loopback: a local service is no LLM provider, and may not know the proxy's CA."""
    given = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    hosts = [host.strip() for host in given.split(",") if host.strip()]
    return ",".join(dict.fromkeys([*hosts, *LOOPBACK]))


def _java(proxy_url: str, truststore: str, given: str) -> str:
    """JVM options; the last of a repeated one wins, so ours stand behind the user's. Loopback is excepted anyway."""
    url = urlsplit(proxy_url)
    reached = (("Host", url.hostname), ("Port", url.port))
    options = [f"-D{scheme}.proxy{key}={value}" for scheme in ("http", "https") for key, value in reached]
    options += [f"-Djavax.net.ssl.trustStore={truststore}", "-Djavax.net.ssl.trustStoreType=PKCS12"]
    quoted = [f'"{option}"' if " " in option else option for option in options]
    ours = " ".join(quoted)
    return f"{given.removesuffix(ours).strip()} {ours}".strip()
