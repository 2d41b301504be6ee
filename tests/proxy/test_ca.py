"""The CA that programs are told to trust is the one that the proxy signs with."""

from __future__ import annotations

from pathlib import Path

from mitmproxy.certs import CertStore

from sessiontap.proxy.ca import ensure_ca


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
