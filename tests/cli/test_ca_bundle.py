"""The combined bundle holds every root once: the system's, the user's, the proxy's."""

from __future__ import annotations

import os
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from sessiontap.cli import ca_bundle
from sessiontap.cli.errors import Failure
from sessiontap.proxy.ca import ensure_ca

KEY = b"-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"


def pem(content: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + content + b"\n-----END CERTIFICATE-----"


A, B = pem(b"AAAA"), pem(b"BBBB")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real CA, made once."""
    return ensure_ca(tmp_path_factory.mktemp("confdir"))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param([A + b"\n", B], A + b"\n" + B + b"\n", id="in order"),
        pytest.param([A, b"# Root A\n" + A + b"\n" + B], A + b"\n" + B + b"\n", id="once each, comments left out"),
        pytest.param([KEY + A], A + b"\n", id="never a key"),
        pytest.param([A.replace(b"\n", b"\r\n"), A], A + b"\n", id="whatever the line ends"),
        pytest.param([pem(b"-- x -----END\n") + A], pem(b"-- x -----END\n") + b"\n" + A + b"\n", id="dashes inside"),
        pytest.param([b"nothing"], b"", id="no certificate"),
    ],
)
def test_combined(parts: list[bytes], expected: bytes) -> None:
    assert ca_bundle.combined(parts) == expected


def test_the_bundle_is_trusted_for_the_proxy_and_for_everyone_else(authority: Path, tmp_path: Path) -> None:
    made = ca_bundle.write(tmp_path / "state", authority, {})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(made.pem)
    names = [dict(pair[0] for pair in root["subject"]).get("commonName") for root in context.get_ca_certs()]  # type: ignore[arg-type, misc]
    assert "mitmproxy" in names
    assert len(names) > 50  # the system's roots are there too


def test_java_finds_the_certificates_trusted(authority: Path, tmp_path: Path) -> None:
    store = tmp_path / "ca.p12"
    store.write_bytes(ca_bundle.truststore(authority.read_bytes()))
    try:
        done = subprocess.run(
            ["keytool", "-list", "-keystore", str(store), "-storetype", "PKCS12"],
            input="\n",
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("keytool is not installed")
    assert "trustedCertEntry" in done.stdout


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"])
def test_the_users_own_roots_are_kept(authority: Path, tmp_path: Path, variable: str) -> None:
    own = tmp_path / "corp.pem"
    own.write_bytes(A)
    made = ca_bundle.write(tmp_path / "state", authority, {variable: str(own)})
    assert A in made.pem.read_bytes()
    usual = ca_bundle.write(tmp_path / "state", authority, {})
    assert made.pem != usual.pem  # a shell without that root shall not get it, nor take it away


def test_a_bundle_of_ours_is_no_source(authority: Path, tmp_path: Path) -> None:
    first = ca_bundle.write(tmp_path, authority, {})
    first.pem.write_bytes(first.pem.read_bytes() + A)
    assert A not in ca_bundle.write(tmp_path, authority, {"SSL_CERT_FILE": str(first.pem)}).pem.read_bytes()


def test_an_unchanged_bundle_is_left_alone_and_a_damaged_one_replaced(authority: Path, tmp_path: Path) -> None:
    made = ca_bundle.write(tmp_path, authority, {})
    before = made.pem.stat().st_ino, made.truststore.stat().st_ino
    ca_bundle.write(tmp_path, authority, {})
    assert (made.pem.stat().st_ino, made.truststore.stat().st_ino) == before
    made.pem.write_bytes(A)
    ca_bundle.write(tmp_path, authority, {})
    assert authority.read_bytes().strip() in made.pem.read_bytes()


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_every_user_can_read_it(authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = os.umask(umask)
    try:
        folder = ca_bundle.public_folder()
        made = ca_bundle.write(folder, authority, {})
    finally:
        os.umask(before)
    files = made.pem, made.ca, made.truststore, made.wgetrc, made.php / "sessiontap.ini"
    assert [file.stat().st_mode & 0o777 for file in (folder, made.php, *files)] == [0o755, 0o755, *[0o644] * 5]


def test_a_folder_that_others_may_write_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    ca_bundle.public_folder().chmod(0o777)
    assert ca_bundle.public_folder() == tmp_path / ".sessiontap"


def test_wget_keeps_its_settings_and_php_its_folder(authority: Path, tmp_path: Path) -> None:
    own = tmp_path / "own-wgetrc"
    own.write_text("tries = 3")
    made = ca_bundle.write(tmp_path / "state", authority, {"SYSTEM_WGETRC": str(own)})
    assert made.wgetrc.read_text() == f"tries = 3\nca_certificate = {made.pem}\n"
    assert f'curl.cainfo="{made.pem}"\n' in (made.php / "sessiontap.ini").read_text()


def test_files_that_nobody_asks_for_any_more_are_removed(authority: Path, tmp_path: Path) -> None:
    old = tmp_path / "ca-bundle-0123456789abcdef.pem"
    for name, age in ((old.name, ca_bundle.UNUSED_AFTER + 10), ("mine-1", ca_bundle.UNUSED_AFTER + 10)):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    made = ca_bundle.write(tmp_path, authority, {})
    assert (old.exists(), (tmp_path / "mine-1").exists(), made.pem.exists()) == (False, True, True)


def test_a_folder_that_cannot_be_written_is_said(authority: Path, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(Failure, match="cannot be written"):
        ca_bundle.write(tmp_path / "state", authority, {})


def test_a_ca_without_a_certificate_is_said(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(KEY)
    with pytest.raises(Failure, match="holds no certificate"):
        ca_bundle.write(tmp_path, tmp_path / "ca.pem", {})
