"""The variables that a captured program gets, what of its own it keeps, and how shells are given them."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from sessiontap.cli.environment import docker_arguments, foreign_proxy, prepare, shell_script, variables

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


AWKWARD = {
    "plain": "http://127.0.0.1:8080",
    "spaces": "-Da=1 -Db=2",
    "quotes": """it's "so" ‘quoted’""",
    "dollar and backtick": "$HOME `id` $(id) %PATH%",
    "backslashes": "C:\\new\\'folder\\",
    "newline": "one\ntwo",
    "semicolon and bang": "a; rm -rf / !! # no",
}


@pytest.mark.parametrize(
    ("shell", "value", "expected"),
    [
        ("bash", "it's", """export X='it'"'"'s'"""),
        ("bash", "a|b", "export X='a|b'"),
        ("fish", "it's", r"set -gx X 'it\'s'"),
        ("fish", "a\\b", r"set -gx X 'a\\b'"),
        ("fish", "$HOME", "set -gx X '$HOME'"),
        ("pwsh", "it's", "$env:X = 'it''s'"),
        ("pwsh", "‘x’", "$env:X = '‘‘x’’'"),
        ("pwsh", "$HOME", "$env:X = '$HOME'"),
    ],
)
def test_a_line(shell: str, value: str, expected: str) -> None:
    assert shell_script(shell, {"X": value}) == expected + "\n"


EVALUATED = {
    "bash": ["bash", "-c", 'eval "$0"; printf %s "$X"'],
    "sh": ["sh", "-c", 'eval "$0"; printf %s "$X"'],
    "fish": ["fish", "-c", 'echo $argv[1] | source; printf %s "$X"'],
    "pwsh": ["pwsh", "-NoProfile", "-CommandWithArgs", "Invoke-Expression $args[0]; [Console]::Write($env:X)"],
}


@pytest.mark.parametrize("value", AWKWARD.values(), ids=AWKWARD)
@pytest.mark.parametrize("shell", EVALUATED)
def test_the_real_shell_reads_the_value_back(shell: str, value: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    text = shell_script("bash" if shell == "sh" else shell, {"X": value})
    done = subprocess.run([*EVALUATED[shell], text], capture_output=True, check=True)
    assert done.stdout.decode() == value


def test_docker_gets_words_for_its_command_line() -> None:
    text = docker_arguments({"X": "it's a b"}, {"/my files/ca.pem": "/etc/ca.pem"})
    assert shlex.split(text) == [
        "--add-host=host.docker.internal:host-gateway",
        "--mount=type=bind,source=/my files/ca.pem,target=/etc/ca.pem,readonly",
        "-e",
        "X=it's a b",
    ]


def test_the_ca_is_made_if_there_is_none(own_place: Path) -> None:
    made = prepare(None, {})
    assert made.ca == own_place / ".mitmproxy/mitmproxy-ca-cert.pem"
    assert made.bundle.pem == own_place / ".sessiontap/ca-bundle.pem"
    assert made.ca.read_bytes().strip() in made.bundle.pem.read_bytes()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"HTTPS_PROXY": ""}, False),
        ({"HTTPS_PROXY": "http://127.0.0.1:8080/"}, False),
        ({"https_proxy": "http://corp:3128"}, True),
    ],
)
def test_a_proxy_that_is_replaced_is_noticed(environ: dict[str, str], expected: bool) -> None:
    assert foreign_proxy(environ, ["http://127.0.0.1:8080"]) is expected
