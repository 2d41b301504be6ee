"""Which variables a captured program gets, and what of its own it keeps."""

from __future__ import annotations

import pytest

from sessiontap.cli.environment import variables

URL, BUNDLE, CA = (
    "http://127.0.0.1:8080",
    "/home/me/.sessiontap/ca-bundle.pem",
    "/home/me/.mitmproxy/mitmproxy-ca-cert.pem",
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, URL) for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")),
        *((name, "localhost,127.0.0.1,::1") for name in ("NO_PROXY", "no_proxy")),
        *(
            (name, BUNDLE)
            for name in (
                "SSL_CERT_FILE",
                "REQUESTS_CA_BUNDLE",
                "CURL_CA_BUNDLE",
                "AWS_CA_BUNDLE",
                "GIT_SSL_CAINFO",
                "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
                "CODEX_CA_CERTIFICATE",
            )
        ),
        *((name, CA) for name in ("NODE_EXTRA_CA_CERTS", "DENO_CERT")),
        ("NODE_USE_ENV_PROXY", "1"),
    ],
)
def test_variable(name: str, value: str) -> None:
    assert variables(URL, BUNDLE, CA)[name] == value


def test_java_is_told_by_options_of_its_own() -> None:
    assert variables("http://[::1]:9000", BUNDLE, CA, {}, "/my files/ca.p12")["JAVA_TOOL_OPTIONS"].split(" -D") == [
        "-Dhttp.proxyHost=::1",
        "http.proxyPort=9000",
        "https.proxyHost=::1",
        'https.proxyPort=9000 "-Djavax.net.ssl.trustStore=/my files/ca.p12"',
        "javax.net.ssl.trustStoreType=PKCS12",
    ]


def test_java_is_left_alone_without_a_trust_store() -> None:
    assert "JAVA_TOOL_OPTIONS" not in variables(URL, BUNDLE, CA)


@pytest.mark.parametrize(
    ("environ", "name", "value"),
    [
        pytest.param(
            {"NO_PROXY": "corp.example, ::1"}, "no_proxy", "corp.example,::1,localhost,127.0.0.1", id="exceptions stay"
        ),
        pytest.param({"no_proxy": "a"}, "NO_PROXY", "a,localhost,127.0.0.1,::1", id="exceptions in lower case too"),
        pytest.param(
            {"NODE_EXTRA_CA_CERTS": "/corp.pem"},
            "NODE_EXTRA_CA_CERTS",
            BUNDLE,
            id="the user's extra CA is in the bundle",
        ),
    ],
)
def test_what_was_set_is_added_to(environ: dict[str, str], name: str, value: str) -> None:
    assert variables(URL, BUNDLE, CA, environ)[name] == value


def test_nesting_changes_nothing() -> None:
    once = variables(URL, BUNDLE, CA, {"JAVA_TOOL_OPTIONS": "-Xmx1g"}, "/t.p12")
    assert once["JAVA_TOOL_OPTIONS"].startswith("-Xmx1g -Dhttp.proxyHost=127.0.0.1 ")
    again = variables(URL, BUNDLE, CA, once, "/t.p12")
    assert again["JAVA_TOOL_OPTIONS"] == once["JAVA_TOOL_OPTIONS"]
    assert again["NO_PROXY"] == once["NO_PROXY"]
