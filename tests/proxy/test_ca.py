"""The CA that programs are told to trust is the one that the proxy signs with."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from mitmproxy import certs
from mitmproxy.certs import CertStore

from sessiontap.proxy.ca import ensure_ca, matching_keys


def signs_with(confdir: Path) -> bytes:
    """What mitmproxy reads from `confdir`."""
    return CertStore.from_store(confdir, "mitmproxy", 2048).default_ca.to_pem()


def test_it_is_made_where_there_is_none(tmp_path: Path) -> None:
    confdir = tmp_path / "new" / "confdir"
    certificate = ensure_ca(confdir)
    assert certificate == confdir / "mitmproxy-ca-cert.pem"
    assert certificate.read_bytes().strip() == signs_with(confdir).strip()
    assert (confdir / "mitmproxy-ca.pem").stat().st_mode & 0o77 == 0
    assert sorted(path.name for path in confdir.iterdir() if path.name.startswith(".")) == []


def test_mitmproxys_own_is_taken_as_it_is(tmp_path: Path) -> None:
    own = signs_with(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert ensure_ca(tmp_path).read_bytes().strip() == own.strip()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_missing_certificate_is_taken_from_the_key_file(tmp_path: Path) -> None:
    own = signs_with(tmp_path)
    (tmp_path / "mitmproxy-ca-cert.pem").unlink()
    found = ensure_ca(tmp_path).read_bytes()
    assert found.strip() == own.strip()
    assert b"PRIVATE KEY" not in found


def test_a_certificate_of_another_ca_is_replaced(tmp_path: Path) -> None:
    other = tmp_path / "other"
    signs_with(other)
    own = signs_with(tmp_path)
    (tmp_path / "mitmproxy-ca-cert.pem").write_bytes((other / "mitmproxy-ca-cert.pem").read_bytes())
    assert ensure_ca(tmp_path).read_bytes().strip() == own.strip()


def keys_read(text: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[str | None, int]:
    """The error with which mitmproxy reads this authority, and how often it searched a key for faults."""
    usual, searched = certs.load_pem_private_key, list[bytes]()

    def search(data: bytes, password: bytes | None) -> object:
        searched.append(data)
        return usual(data, password)

    monkeypatch.setattr(certs, "load_pem_private_key", search)
    try:
        with matching_keys():
            certs.load_pem_private_key(text, None)
    except (ValueError, TypeError) as error:
        return type(error).__name__, len(searched)
    finally:
        assert certs.load_pem_private_key is search
    return None, len(searched)


def test_a_key_of_its_certificate_is_not_searched_for_faults(authority: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keys_read(authority, monkeypatch) == (None, 0)


def test_a_key_with_a_fault_is_refused_as_ever(authority: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    key = certs.load_pem_private_key(authority, None)
    prime = key.private_numbers().p.to_bytes(128)
    sound = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    spoilt = base64.encodebytes(sound.replace(prime, prime[:60] + bytes([prime[60] ^ 1]) + prime[61:]))
    kind = b"RSA PRIVATE KEY-----\n"
    text = b"-----BEGIN " + kind + spoilt + b"-----END " + kind
    certificate = authority[authority.index(b"-----BEGIN CERTIFICATE") :]
    assert keys_read(text + certificate, monkeypatch) == ("ValueError", 1)


def test_the_key_of_another_certificate_is_searched(authority: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    other = with_key(authority, generate_private_key(65537, 2048), NoEncryption())
    assert keys_read(other, monkeypatch) == (None, 1)


def test_an_encrypted_key_is_read_by_its_password_alone(authority: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    key = certs.load_pem_private_key(authority, None)
    locked = with_key(authority, key, BestAvailableEncryption(b"secret"))
    assert keys_read(locked, monkeypatch) == ("TypeError", 1)


def with_key(authority: bytes, key: RSAPrivateKey, encryption: KeySerializationEncryption) -> bytes:
    """The authority's certificate with this key."""
    certificate = certs.x509.load_pem_x509_certificate(authority).public_bytes(Encoding.PEM)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, encryption) + certificate


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("authority")
    ensure_ca(folder)
    return (folder / "mitmproxy-ca.pem").read_bytes()
