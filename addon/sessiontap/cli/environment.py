"""The environment in which a program is captured: the variables by which it finds the proxy and trusts it.

A variable that names a bundle usually replaces the program's own roots, so it gets the combined bundle: the system's
roots, the user's own, the proxy's CA. The two that only add get the proxy's CA alone, unless the user had set them.

What was set before is kept in a variable of its own (SAVED). So `env --undo` gives it back, and a second `env` or a
nested `exec` starts from the user's own environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sessiontap import private
from sessiontap.capture import node as node_capture
from sessiontap.cli import ca_bundle
from sessiontap.cli.ca_bundle import ADDING, REPLACING
from sessiontap.cli.errors import Failure
from sessiontap.cli.local_proxies import OURS
from sessiontap.cli.output import print_notice

PROXY = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
ALL_PROXY = ("ALL_PROXY", "all_proxy")
NO_PROXY = ("NO_PROXY", "no_proxy")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
SAVED = "SESSIONTAP_SAVED"
"""The variable with the values before ours, as JSON: name -> value, or null for one that was not set."""

NODE_PROXY = "NODE_USE_ENV_PROXY"  # Node >= 22.21 / 24.5 ignores the proxy variables without it
JAVA = "JAVA_TOOL_OPTIONS"  # the JVM reads neither the proxy's nor the CA's variables


def original(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment as it was before `env` or `exec` set variables in it."""
    found = dict(environ)
    ours = found.pop(OURS, None)
    try:
        saved = json.loads(found.pop(SAVED, "{}"))
    except ValueError:
        saved = {}
    for name, value in saved.items() if isinstance(saved, dict) else ():
        if name in (*PROXY, *ALL_PROXY) and found.get(name) != ours:
            continue  # the user has named another proxy since
        if value is None:
            found.pop(name, None)
        else:
            found[name] = str(value)
    return found


def variables(
    proxy_url: str,
    bundle: str,
    ca: str,
    environ: Mapping[str, str] | None = None,
    truststore: str | None = None,
    captured: Iterable[str] = (),
) -> dict[str, str]:
    """Name -> value.

    `bundle`, `ca`: PEM files of the combined bundle and of the proxy's CA; `truststore`: the bundle as a PKCS #12 file
    for Java, which is left alone without one. `environ`: what is set already; its NO_PROXY and JAVA_TOOL_OPTIONS are
    kept and added to. `captured`: hosts that must not stand in NO_PROXY.
    """
    environ = environ or {}
    found = dict.fromkeys(PROXY, proxy_url)
    found |= {name: proxy_url for name in ALL_PROXY if environ.get(name)}
    found |= dict.fromkeys(NO_PROXY, _no_proxy(environ, captured))
    found |= dict.fromkeys(REPLACING, bundle)
    for name in ADDING:
        found[name] = bundle if environ.get(name) else ca
    found[NODE_PROXY] = "1"
    if truststore is not None:
        found[JAVA] = _java(proxy_url, truststore, environ.get(JAVA, ""))
    return found


def _no_proxy(environ: Mapping[str, str], captured: Iterable[str]) -> str:
    """The hosts that were excepted already, and loopback, since a local service may not know the proxy's CA.

    Without those that are captured; if one of them is loopback, without all of loopback.
    """
    wanted = {host.lower() for host in captured}
    given = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    hosts = [host.strip() for host in given.split(",") if host.strip()]
    if wanted & set(LOOPBACK):
        wanted |= set(LOOPBACK)
    return ",".join(host for host in dict.fromkeys([*hosts, *LOOPBACK]) if host.lower() not in wanted)


def _java(proxy_url: str, truststore: str, given: str) -> str:
    """JVM options; the last of a repeated one wins, so ours stand behind the user's. Loopback is excepted anyway."""
    from urllib.parse import urlsplit

    url = urlsplit(proxy_url)
    reached = (("Host", url.hostname), ("Port", url.port))
    options = [f"-D{scheme}.proxy{key}={value}" for scheme in ("http", "https") for key, value in reached]
    options += [f"-Djavax.net.ssl.trustStore={truststore}", "-Djavax.net.ssl.trustStoreType=PKCS12"]
    quoted = [f'"{option}"' if " " in option else option for option in options]
    return f"{given.strip()} {' '.join(quoted)}".strip()


def _bash(name: str, value: str | None) -> str:
    return f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}"


def _fish(name: str, value: str | None) -> str:
    if value is None:
        return f"set -e {name}"
    # In fish's single quotes only \ and ' are special.
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{quoted}'"


def _pwsh(name: str, value: str | None) -> str:
    if value is None:
        return f"Remove-Item Env:{name} -ErrorAction SilentlyContinue"
    # PowerShell takes the typographic single quotes for quotes too.
    quoted = "".join(char * 2 if char in "'‘’‚‛" else char for char in value)
    return f"$env:{name} = '{quoted}'"


SHELL_LINES: dict[str, Callable[[str, str | None], str]] = {"bash": _bash, "fish": _fish, "pwsh": _pwsh}
"""A shell -> a line that sets and exports one variable, or removes it. `bash` is every POSIX shell."""


def shell_script(shell: str, variables: Mapping[str, str | None]) -> str:
    """Lines for `eval "$(...)"`, `| source`, `| Invoke-Expression`."""
    return "".join(f"{SHELL_LINES[shell](name, value)}\n" for name, value in variables.items())


def undone(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables that `env --undo` sets back: name -> the value before ours, None if it was not set."""
    before = original(environ)
    return {name: before.get(name) for name in environ if before.get(name) != environ[name]} | {
        name: value for name, value in before.items() if name not in environ
    }


def docker_arguments(variables: Mapping[str, str], mounts: Mapping[str, str]) -> str:
    """Arguments of `docker run`, quoted for `eval docker run "$(...)" IMAGE`.

    `mounts`: file on this machine -> file in the container, read-only.
    """
    words = ["--add-host=host.docker.internal:host-gateway"]
    for source, target in mounts.items():
        words.append(f"--mount=type=bind,source={source},target={target},readonly")
    for name, value in variables.items():
        words += ["-e", f"{name}={value}"]
    return shlex.join(words) + "\n"


@dataclass(frozen=True, slots=True)
class ClientEnvironment:
    """The files that a program needs to trust the proxy."""

    bundle: ca_bundle.Bundle

    def variables(
        self, proxy_url: str, environ: Mapping[str, str], captured: Iterable[str] = (), *, node: bool = False
    ) -> dict[str, str]:
        """The variables for a program of this machine, and what they replace. `environ`: without variables of ours.

        `node`: Node loads a file first that captures what its variables do not.
        """
        bundle = self.bundle
        found = variables(proxy_url, str(bundle.pem), str(bundle.ca), environ, str(bundle.truststore), captured) | {
            "SYSTEM_WGETRC": str(bundle.wgetrc),
            # An empty part stands for the folder that PHP was built with.
            "PHP_INI_SCAN_DIR": f"{environ.get('PHP_INI_SCAN_DIR', '')}{os.pathsep}{bundle.php}",
        }
        if node:
            with contextlib.suppress(OSError):  # its calls are captured as far as Node itself knows the variables
                file = node_capture.readable_file(bundle.pem.parent)
                found |= node_capture.environment(proxy_url, environ, file)
        saved = json.dumps({name: environ.get(name) for name in found if name != OURS}, ensure_ascii=False)
        return found | {OURS: proxy_url, SAVED: saved}


def prepare(confdir: Path | None, environ: Mapping[str, str]) -> ClientEnvironment:
    """For the proxy whose mitmproxy folder is `confdir` (None: mitmproxy's default). Raises Failure."""
    certificate = prepare_ca(confdir)
    return ClientEnvironment(ca_bundle.write(ca_bundle.public_folder(), certificate, environ))


def prepare_ca(confdir: Path | None) -> Path:
    """The CA's certificate, made if there is none. Raises Failure."""
    from sessiontap.proxy.ca import default_confdir  # plain Python

    prepare_home()
    folder = confdir or default_confdir()
    certificate = folder / "mitmproxy-ca-cert.pem"
    if not certificate.exists():
        from sessiontap.proxy.ca import ensure_ca  # imports mitmproxy: only if a CA has to be made

        try:
            certificate = ensure_ca(folder)
        except OSError as error:
            raise Failure(
                f"the proxy's CA cannot be made in {folder}: {error.strerror or error}", "make the folder writable"
            ) from None
    return certificate


@cache
def prepare_home() -> None:
    """Make the folder of the user's own state, and say once if another stands in for the usual one. Raises Failure."""
    try:
        warning = private.prepare_home()
    except OSError as error:
        raise Failure(
            f"there is no folder for Sessiontap's own files: {error.filename}: {error.strerror}",
            "point HOME or TMPDIR at a folder that can be written",
        ) from None
    if warning is not None:
        print_notice(warning)


def foreign_proxy(environ: Mapping[str, str]) -> str | None:
    """The variable that names the proxy of HTTPS calls. `environ`: without variables of ours.

    HTTP_PROXY alone says nothing of them: without us they go directly.
    """
    return next((name for name in ("HTTPS_PROXY", "https_proxy", *ALL_PROXY) if environ.get(name)), None)


def excepting(no_proxy: str, host: str) -> str | None:
    """The entry of NO_PROXY by which clients call this host past the proxy; None if there is none."""
    host = host.lower()
    for entry in (one.strip() for one in no_proxy.split(",")):
        name = entry.lower().removeprefix("*").removeprefix(".")
        if entry == "*" or (name and (host == name or host.endswith(f".{name}"))):
            return entry
    return None
