"""The files by which programs trust the proxy: the combined CA bundle, its CA, and the same for Java, wget and PHP.

The bundle holds the system's roots, the user's own, and the proxy's CA. Certificates are public, so the files lie in a
folder of their own that every user may read: a program started by `sudo -u nobody` finds them. A file is named by its
content and written whole, so two shells with different roots do not overwrite each other's.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
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
_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s[^-]*(?:-(?!----END CERTIFICATE-----)[^-]*)*-----END CERTIFICATE-----"
)
"""To the next end, whatever stands before it; `.*?` takes fifteen times as long, 2 ms for a system's roots."""

UNUSED_AFTER = 90 * 86_400
"""Seconds after which a file that nobody asked for is removed."""
_SYSTEM_WGETRC = ("/etc/wgetrc", "/usr/local/etc/wgetrc", "/opt/homebrew/etc/wgetrc")


@dataclass(frozen=True, slots=True)
class Bundle:
    """Files of one bundle."""

    pem: Path
    """The combined bundle."""
    ca: Path
    """The proxy's CA alone."""
    truststore: Path
    """The bundle as PKCS #12, for Java."""
    wgetrc: Path
    """wget's system-wide settings, and the bundle."""
    php: Path
    """A folder with PHP settings that name the bundle."""


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
    import ssl  # 5 ms that a proxy's start need not wait for

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


def public_folder() -> Path:
    """A folder that every user can read and only we can write; our own private one if none can be made.

    It is in /var/tmp, which outlives a restart and is cleaned seldom, unless TMPDIR names another place.
    """
    above = Path(os.environ.get("TMPDIR") or "/var/tmp")
    if not os.access(above, os.W_OK):
        import tempfile

        above = Path(tempfile.gettempdir())
    folder = above / f"sessiontap-ca-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)  # a umask may have taken the right to read
    try:
        found = folder.lstat()
    except OSError:
        return private.home()
    ours = stat.S_ISDIR(found.st_mode) and (
        os.name != "posix" or (found.st_uid, found.st_mode & 0o022) == (os.getuid(), 0)
    )
    return folder if ours else private.home()


def write(folder: Path, ca: Path, environ: Mapping[str, str]) -> Bundle:
    """The bundle for `ca` in `folder`, written if it is missing. `environ`: names the user's own roots and settings.

    Raises Failure if the CA cannot be read or the folder cannot be written.
    """
    import hashlib  # 5 ms that a proxy's start need not wait for

    authority = _read(ca)
    if authority is None or not certificates(authority):
        raise Failure(f"{ca} holds no certificate", "remove the file; the proxy makes a new CA at its next start")
    pem = combined([system_roots(), *own_roots(environ, folder), authority])
    stem = hashlib.sha256(pem).hexdigest()[:16]
    path = folder / f"ca-bundle-{stem}.pem"
    settings = _wgetrc(environ) + f"ca_certificate = {path}\n".encode()
    digest = hashlib.sha256(settings).hexdigest()[:16]
    bundle = Bundle(
        path,
        folder / f"ca-{stem}.pem",
        folder / f"ca-bundle-{stem}.p12",
        folder / f"wgetrc-{digest}",
        folder / f"php-{stem}",
    )
    try:
        if not folder.is_dir():
            private.make(folder)
        if not bundle.php.is_dir():
            bundle.php.mkdir(mode=0o755)
            bundle.php.chmod(0o755)
        php = f'curl.cainfo="{path}"\nopenssl.cafile="{path}"\n'.encode()
        for file, content in ((path, pem), (bundle.ca, combined([authority])), (bundle.wgetrc, settings)):
            _put(file, content)
        _put(bundle.php / "sessiontap.ini", php)
        if not bundle.truststore.exists():
            _put(bundle.truststore, truststore(pem))
        _remove_unused(folder)
    except OSError as error:
        raise Failure(
            f"the CA bundle cannot be written to {folder}: {error.strerror or error}", "make the folder writable"
        ) from None
    return bundle


def _wgetrc(environ: Mapping[str, str]) -> bytes:
    """wget's system-wide settings, which a file named by SYSTEM_WGETRC replaces."""
    given = environ.get("SYSTEM_WGETRC")
    found = next(filter(None, (_read(Path(name)) for name in ((given,) if given else _SYSTEM_WGETRC))), b"")
    return found if not found or found.endswith(b"\n") else found + b"\n"


def _put(path: Path, content: bytes) -> None:
    """Write a file if it has another content, and say that it is in use."""
    if _read(path) != content:
        replace(path, content)
    else:
        os.utime(path)


def _remove_unused(folder: Path) -> None:
    """Remove files of bundles that nobody has asked for in a long time."""
    oldest = time.time() - UNUSED_AFTER
    with os.scandir(folder) as files:
        for file in files:
            with contextlib.suppress(OSError):
                if file.name.startswith(("ca-", "wgetrc-")) and file.is_file() and file.stat().st_mtime < oldest:
                    os.unlink(file)


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
    import tempfile

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
    except (OSError, RuntimeError):  # RuntimeError: nobody knows what its ~ stands for
        return None
