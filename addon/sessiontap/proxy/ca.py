"""mitmproxy's certificate authority: made before the proxy starts if it does not exist yet, and read quickly."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sessiontap import private

NAME = "mitmproxy"
KEY_SIZE = 2048  # mitmproxy's own default (`key_size`)


def default_confdir() -> Path:
    """mitmproxy's folder for a proxy that is told none: `~/.mitmproxy`, or one beside our own state.

    The second only if the first holds no authority and none can be made there. For `private.prepare_home` to have run.
    """
    above = private.user_home()
    usual = above / ".mitmproxy" if above is not None else None
    if usual is not None and ((usual / f"{NAME}-ca.pem").exists() or private.is_made(usual)):
        return usual
    return private.home() / "mitmproxy"


def ensure_ca(confdir: Path) -> Path:
    """The PEM file of the CA's certificate in `confdir`, mitmproxy's configuration folder.

    Two that make it at once agree: the first key wins, as a proxy that is starting would read it. Raises OSError.
    """
    authority, certificate = confdir / f"{NAME}-ca.pem", confdir / f"{NAME}-ca-cert.pem"
    if not authority.exists():
        _create(confdir, authority)
    held = _certificates(authority)
    # A file of the user's own making stays as long as it has to do with the key that signs.
    if not certificate.exists() or not set(held) & set(_certificates(certificate)):
        _put(certificate, b"".join(one + b"\n" for one in held))
    return certificate


@contextmanager
def matching_keys() -> Iterator[None]:
    """Have mitmproxy read keys within this block without proving that their primes are some: 40 ms of CPU time.

    A key must fit the certificate beside it. Else mitmproxy reads it as ever, and says what is wrong.
    """
    from mitmproxy import certs

    usual = certs.load_pem_private_key

    def load(data: bytes, password: bytes | None) -> Any:
        return _matching_key(data) or usual(data, password)

    module = vars(certs)
    module["load_pem_private_key"] = load
    try:
        yield
    finally:
        module["load_pem_private_key"] = usual


def _matching_key(pem: bytes) -> Any:
    """The RSA key of a file, if it is not encrypted, is whole, and is that of the file's certificate; else None."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
        public = x509.load_pem_x509_certificate(pem).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, RSAPrivateKey) or not isinstance(public, RSAPublicKey):
        return None
    held, certified = key.private_numbers(), public.public_numbers()
    p, q, d = held.p, held.q, held.d
    fits = (
        held.public_numbers == certified
        and min(p, q) > 1
        and p * q == certified.n
        and all(d * certified.e % (prime - 1) == 1 for prime in (p, q))
        and (held.dmp1, held.dmq1, held.iqmp * q % p) == (d % (p - 1), d % (q - 1), 1)
    )
    return key if fits else None


def _create(confdir: Path, authority: Path) -> None:
    from mitmproxy.certs import CertStore

    private.make(confdir)
    with tempfile.TemporaryDirectory(dir=confdir, prefix=".new-ca-") as made:
        CertStore.create_store(Path(made), NAME, KEY_SIZE)
        try:
            os.link(Path(made) / authority.name, authority)
        except FileExistsError:
            return
        for other in Path(made).iterdir():
            if other.name != authority.name:
                other.replace(confdir / other.name)


def _certificates(path: Path) -> list[bytes]:
    """The certificates of a PEM file, without its key."""
    return re.findall(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", path.read_bytes(), re.DOTALL)


def _put(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)
