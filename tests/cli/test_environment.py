"""The variables that a captured program gets, what of its own it keeps, and how shells are given them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sessiontap.cli.environment import (
    docker_arguments,
    excepting,
    foreign_proxy,
    original,
    prepare,
    shell_script,
    undone,
    variables,
)

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


@pytest.mark.parametrize(
    ("given", "captured", "expected"),
    [
        pytest.param("", ["llm.corp.example"], "localhost,127.0.0.1,::1", id="another host"),
        pytest.param("", ["localhost"], "", id="loopback by one of its names is loopback"),
        pytest.param("a.example,127.0.0.1", ["127.0.0.1"], "a.example", id="also if the user excepts it"),
        pytest.param("llm.example,b", ["LLM.example"], "b,localhost,127.0.0.1,::1", id="a host that the user excepts"),
    ],
)
def test_a_captured_host_is_not_excepted(given: str, captured: list[str], expected: str) -> None:
    assert variables(URL, BUNDLE, CA, {"NO_PROXY": given}, captured=captured)["NO_PROXY"] == expected


def test_a_proxy_for_all_is_replaced_if_there_is_one() -> None:
    assert variables(URL, BUNDLE, CA, {"ALL_PROXY": "http://corp:1"})["ALL_PROXY"] == URL
    assert "ALL_PROXY" not in variables(URL, BUNDLE, CA)


BEFORE = {
    "PATH": "/bin",
    "HTTPS_PROXY": "http://me:secret@corp:3128",
    "NO_PROXY": "corp.example",
    "JAVA_TOOL_OPTIONS": "-Xmx1g",
    "SSL_CERT_FILE": "/corp.pem",
}


@pytest.fixture(params=[False, True], ids=["env", "exec, which gives Node a file"])
def captured(own_place: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    return BEFORE | prepare(None, BEFORE).variables(URL, BEFORE, node=request.param)


def test_the_environment_before_ours_is_known(captured: dict[str, str]) -> None:
    assert captured["HTTPS_PROXY"] == URL
    assert original(captured) == BEFORE


def test_nesting_changes_nothing(captured: dict[str, str]) -> None:
    before = original(captured)
    node = "NODE_OPTIONS" in captured
    assert before | prepare(None, before).variables(URL, before, node=node) == captured


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_the_user_named_since_stays(captured: dict[str, str], name: str) -> None:
    assert original(captured | {name: "http://other:1"})[name] == "http://other:1"


def test_a_damaged_note_of_what_was_before_breaks_nothing() -> None:
    assert original({"X": "1", "SESSIONTAP_SAVED": "{"}) == {"X": "1"}
    assert original({"X": "1", "SESSIONTAP_SAVED": "[1]"}) == {"X": "1"}


def test_undoing_sets_back_what_was_there_and_removes_the_rest(captured: dict[str, str]) -> None:
    back = undone(captured)
    assert back["HTTPS_PROXY"] == "http://me:secret@corp:3128"
    assert back["REQUESTS_CA_BUNDLE"] is None
    assert "PATH" not in back
    after = captured | {name: value for name, value in back.items() if value is not None}
    assert {name: after[name] for name in after if back.get(name, "") is not None} == BEFORE


def test_undoing_nothing_is_nothing() -> None:
    assert undone(BEFORE) == {}


@pytest.mark.parametrize(
    ("shell", "expected"),
    [("bash", "unset X"), ("fish", "set -e X"), ("pwsh", "Remove-Item Env:X -ErrorAction SilentlyContinue")],
)
def test_a_line_that_removes_a_variable(shell: str, expected: str) -> None:
    assert shell_script(shell, {"X": None}) == expected + "\n"


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
    bundle = prepare(None, {}).bundle
    made = (own_place / ".mitmproxy/mitmproxy-ca-cert.pem").read_bytes().strip()
    assert made in bundle.ca.read_bytes()
    assert made in bundle.pem.read_bytes()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"https_proxy": "http://corp:3128"}, "https_proxy"),
        ({"ALL_PROXY": "socks5://corp:1080"}, "ALL_PROXY"),
        ({"HTTP_PROXY": "http://corp:3128"}, None),
    ],
)
def test_a_proxy_of_the_user_is_noticed(environ: dict[str, str], expected: str | None) -> None:
    assert foreign_proxy(environ) == expected


@pytest.mark.parametrize(
    ("no_proxy", "expected"),
    [
        ("", None),
        ("other.example, corp.example", "corp.example"),
        (".Corp.example", ".Corp.example"),
        ("*.corp.example", "*.corp.example"),
        ("*", "*"),
        ("p.example", None),
        ("llm.corp.example.org", None),
    ],
)
def test_what_excepts_a_host_is_known(no_proxy: str, expected: str | None) -> None:
    assert excepting(no_proxy, "llm.corp.example") == expected


def test_a_shell_takes_the_variables_and_gives_them_back(own_place: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    code = """
    export HTTPS_PROXY=http://corp:3128 NO_PROXY="a b"
    sessiontap() { "$PYTHON" -m sessiontap.cli "$@"; }
    env -0 | sort -z > before
    eval "$(sessiontap env)" && test "$HTTPS_PROXY" = http://127.0.0.1:8080 || exit 1
    eval "$(sessiontap env)"  # twice is once
    eval "$(sessiontap env --undo)"
    env -0 | sort -z > after
    """
    environ = {"PATH": os.environ["PATH"], "HOME": str(own_place), "TMPDIR": str(own_place)}
    environ |= {"PYTHON": sys.executable, "PYTHONPATH": os.environ["PYTHONPATH"]}
    subprocess.run([bash, "-c", code], env=environ, check=True, capture_output=True)
    assert Path("after").read_bytes() == Path("before").read_bytes()
