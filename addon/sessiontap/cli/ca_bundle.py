"""The combined CA bundle: the system's roots, the user's own, the proxy's CA; for Java the same as PKCS #12.

A file is written only if its content changes, and is replaced whole, so that no program reads half of one. A bundle
of other than the usual sources has a name of its own: two shells with different roots do not overwrite each other's.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sessiontap import private
from sessiontap.cli.errors import Failure

REPLACING = (
    "SSL_CERT_FILE",  # OpenSSL, Python's ssl and httpx, Go, rustls native roots, Bun, curl
    "REQUESTS_CA_BUNDLE",  # requests, botocore
    "CURL_CA_BUNDLE",  # curl, requests
    "AWS_CA_BUNDLE",  # botocore, AWS CLI
    "GIT_SSL_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "CODEX_CA_CERTIFICATE",
)
"""Variables that name a bundle in the place of a program's own roots."""
ADDING = ("NODE_EXTRA_CA_CERTS", "DENO_CERT")
"""Variables that name certificates beside a program's own roots."""
SYSTEM_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS, BSDs
)
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Bundle:
    """Files of one bundle."""

    pem: Path
    truststore: Path


def certificates(text: bytes) -> list[bytes]:
    """The PEM certificates in a file, keys and comments left out."""
    return _CERTIFICATE.findall(text.replace(b"\r\n", b"\n"))


def combined(parts: Iterable[bytes]) -> bytes:
    """Every certificate of the parts once, in order."""
    once: dict[bytes, None] = {}
    for part in parts:
        once.update(dict.fromkeys(certificates(part)))
    return b"".join(certificate + b"\n" for certificate in once)


def system_roots() -> bytes:
    """The roots that programs of this machine trust by default; certifi's if the system keeps them elsewhere."""
    built_in = ssl.get_default_verify_paths().openssl_cafile  # what OpenSSL reads without SSL_CERT_FILE
    for name in (built_in, *SYSTEM_FILES):
        found = _read(Path(name)) if name else None
        if found and certificates(found):
            return found
    import certifi

    return Path(certifi.where()).read_bytes()


def own_roots(environ: Mapping[str, str], folder: Path) -> list[bytes]:
    """The certificates that the user's variables name already, without those in `folder` (bundles of ours)."""
    files: dict[Path, None] = {}
    for name in (*REPLACING, *ADDING):
        value = environ.get(name)
        if value and Path(value).parent != folder:
            files[Path(value)] = None
    return [found for found in map(_read, files) if found and certificates(found)]


def write(folder: Path, ca: Path, environ: Mapping[str, str], usual_ca: Path) -> Bundle:
    """The bundle for `ca` in `folder`, written if it is missing or stale.

    Raises Failure if the CA cannot be read or the folder cannot be written.
    """
    authority = _read(ca)
    if authority is None or not certificates(authority):
        raise Failure(f"{ca} holds no certificate", "remove the file; the proxy makes a new CA at its next start")
    system, own = system_roots(), own_roots(environ, folder)
    pem = combined([system, *own, authority])
    usual = ca == usual_ca and pem == combined([system, authority])
    stem = "ca-bundle" if usual else f"ca-bundle-{hashlib.sha256(pem).hexdigest()[:12]}"
    bundle = Bundle(folder / f"{stem}.pem", folder / f"{stem}.p12")
    try:
        private.make(folder)
        if _read(bundle.pem) != pem:
            replace(bundle.pem, pem)
            bundle.truststore.unlink(missing_ok=True)
        if not bundle.truststore.exists():
            replace(bundle.truststore, truststore(pem))
    except OSError as error:
        raise Failure(
            f"the CA bundle cannot be written to {folder}: {error.strerror or error}", "make the folder writable"
        ) from None
    return bundle


def truststore(pem: bytes) -> bytes:
    """PKCS #12 without a password, its certificates marked as trusted the way Java wants it."""
    from cryptography import x509  # comes with mitmproxy
    from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12

    entries = []
    for number, certificate in enumerate(certificates(pem)):
        try:
            with warnings.catch_warnings(action="ignore"):  # of old roots with odd serial numbers
                parsed = x509.load_pem_x509_certificate(certificate)
        except ValueError:  # a root that only laxer readers take; Java loses this one, nobody else does
            continue
        entries.append(pkcs12.PKCS12Certificate(parsed, str(number).encode()))
    return pkcs12.serialize_java_truststore(entries, NoEncryption())


def replace(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file so that readers see the old content or the new, nothing between."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read(path: Path) -> bytes | None:
    try:
        return path.expanduser().read_bytes()
    except OSError:
        return None
