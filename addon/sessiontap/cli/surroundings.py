"""The environment in which a program is captured: CA made, bundle written, variables named."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sessiontap import private
from sessiontap.cli import bundle
from sessiontap.cli.errors import Failure, note
from sessiontap.cli.variables import PROXY, variables


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a program needs to find the proxy and to trust it."""

    ca: Path
    bundle: bundle.Bundle

    def variables(self, proxy_url: str, environ: Mapping[str, str]) -> dict[str, str]:
        """See `cli.variables.variables`."""
        pem, truststore = str(self.bundle.pem), str(self.bundle.truststore)
        return variables(proxy_url, pem, str(self.ca), environ, truststore)


def prepare(confdir: Path | None, environ: Mapping[str, str]) -> Surroundings:
    """For the proxy whose mitmproxy folder is `confdir` (None: mitmproxy's default). Raises Failure."""
    from sessiontap.proxy.ca import default_confdir  # plain Python

    prepare_home()
    usual = default_confdir()
    folder = confdir or usual
    certificate = folder / "mitmproxy-ca-cert.pem"
    if not certificate.exists():
        from sessiontap.proxy.ca import ensure_ca  # imports mitmproxy: only where a CA has to be made

        try:
            certificate = ensure_ca(folder)
        except OSError as error:
            raise Failure(
                f"the proxy's CA cannot be made in {folder}: {error.strerror or error}", "make the folder writable"
            ) from None
    return Surroundings(certificate, bundle.write(private.home(), certificate, environ, usual / certificate.name))


@cache
def prepare_home() -> None:
    """Make the folder of the user's own state; said once where another stands in for the usual one. Raises Failure."""
    try:
        told = private.prepare_home()
    except OSError as error:
        raise Failure(
            f"there is no folder for Sessiontap's own files: {error.filename}: {error.strerror}",
            "point HOME or TMPDIR at a folder that can be written",
        ) from None
    if told is not None:
        note(told)


def foreign_proxy(environ: Mapping[str, str], own: Collection[str]) -> bool:
    """Whether the environment names a proxy already that is none of `own`: calls will no longer go through it."""
    return any(environ.get(name) and environ[name].rstrip("/") not in own for name in PROXY)
