"""The settings of a push target, from the command line, the environment and a file of credentials.

Credentials come from variables or from a file that its owner alone reads; never from an option's value, which every
user of the machine can list.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sessiontap import trust
from sessiontap.cli.errors import Failure, Misuse
from sessiontap.cli.named_path import expanded

if TYPE_CHECKING:
    from sessiontap.push import Target
    from sessiontap.push.http import HttpClient
    from sessiontap.push.target import ScoreSender, Sender


def endpoint_of(target: Target, given: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The address of a target: of the command line, of a variable that its own SDKs read, or the usual one.

    A folder's is absolute: how far the target has come goes by its address. Raises Misuse.
    """
    by_variable = next((value for name in target.endpoint_variables if (value := environ.get(name))), None)
    if given == "":
        raise Misuse("the endpoint is empty", "name it, or leave --endpoint out")
    found = given or by_variable or target.endpoint
    if not found:
        variable = f", or set {target.endpoint_variables[0]}" if target.endpoint_variables else ""
        kind, place = ("folder", "FOLDER") if target.is_folder else ("address", "URL")
        raise Misuse(f"{target.name} has no usual {kind}", f"name it: --endpoint {place}{variable}")
    if target.is_folder and "://" not in found:
        return str(expanded(found).resolve())
    if target.is_folder and not target.has_addresses:
        raise Misuse(f"{target.name} writes files: the endpoint is a folder, no URL", "name it: --endpoint FOLDER")
    try:
        at = urlsplit(found)
        host, _ = at.hostname, at.port
    except ValueError:
        host = None
    is_web = bool(host) and at.scheme in ("http", "https")
    if not (target.is_folder or is_web):
        raise Misuse("the endpoint is no http:// or https:// address", "write it as https://HOST:PORT/PATH")
    if "?" in found or "#" in found:
        raise Misuse("the endpoint has a query or a fragment", "write it as https://HOST:PORT/PATH")
    if at.username is not None or at.password is not None:
        raise Misuse(
            "the endpoint holds a user or a password, which every user of this machine can list",
            f"set {' and '.join(target.variables) or 'a variable'}, or name a file: --credentials FILE",
        )
    return found.rstrip("/")


def credentials_of(target: Target, file: Path | None) -> dict[str, str]:
    """The credentials that are set, by the names of their variables. Raises Misuse."""
    given = read_credentials(file) if file is not None else {}
    found = {name: value for name in target.variables if (value := given.get(name) or os.environ.get(name))}
    missing = [name for name in target.required if name not in found]
    if missing:
        them = "it" if len(missing) == 1 else "them"
        raise Misuse(
            f"{target.name} takes no calls without {' and '.join(missing)}",
            f"set {them} in the environment, or in a file that only you can read: --credentials FILE",
        )
    return found


def read_credentials(file: Path) -> dict[str, str]:
    """The lines NAME=value of a private file; empty ones and those that begin with # say nothing. Raises Misuse."""
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if os.name == "posix" and mode & 0o077:
                raise Misuse(f"others can read {file} (mode {mode:03o})", f"chmod 600 {file} closes it to them")
            text = opened.read(1 << 20).decode()
    except OSError as error:
        raise Misuse(
            f"the credentials {file} cannot be read: {error.strerror or error}", "name a file of lines NAME=value"
        ) from None
    except UnicodeDecodeError:
        raise Misuse(f"the credentials {file} are no text", "name a file of lines NAME=value") from None
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip().isidentifier():
            raise Misuse(f"line {number} of {file} is not NAME=value", "begin what is none with #")
        value = value.strip()
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        found[name.strip()] = value[1:-1] if quoted else value
    return found


def headers_of(given: Sequence[str]) -> dict[str, str]:
    """The headers of `--header 'NAME: value'`. Raises Misuse for one that holds a credential."""
    from sessiontap.push.target import holds_credential

    found = {}
    for one in given:
        name, colon, value = one.partition(":")
        name = name.strip()
        if not colon or not name or not name.isascii() or any(c.isspace() for c in name) or not value.isprintable():
            raise Misuse(f"--header {name!r} is no header", "write --header 'Name: value'")
        if holds_credential(name, value.strip()):
            raise Misuse(
                f"--header {name}: every user of this machine can list what an option holds",
                "set the variable that the target reads, or name a file: --credentials FILE",
            )
        found[name] = value.strip()
    return found


def http_client(endpoint: str) -> HttpClient:
    """The client for an endpoint: through a company's proxy if HTTPS_PROXY names one, never through one of ours."""
    from sessiontap.cli import local_proxies, private_proxy
    from sessiontap.cli.environment import excepting, original
    from sessiontap.push.http import HttpClient

    environ = original(os.environ)
    host = urlsplit(endpoint).hostname or ""
    except_for = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    before = None
    if not trust.is_loopback(host) and excepting(except_for, host) is None:
        before = private_proxy.upstream(environ)
    if before is not None:
        ours = {one.url for proxy in local_proxies.running() for one in proxy.listeners}
        ours.add(os.environ.get(local_proxies.OURS, ""))
        if before.url.replace("localhost", "127.0.0.1") in ours:
            before = None
    return HttpClient(before.url, before.auth) if before is not None else HttpClient()


def open_senders(
    target: Target, endpoint: str, credentials: Mapping[str, str], headers: Mapping[str, str], content: bool, log: Path
) -> tuple[Sender, ScoreSender | None]:
    """The sender of a target for the log in a folder, and that of its scores. Raises Misuse, Failure."""
    from sessiontap.push.target import TargetSettings

    if "://" in endpoint and credentials and trust.is_plain_beyond_loopback(endpoint):
        raise Misuse(
            f"{endpoint} would carry credentials over the network in plain text",
            "name an https:// address, or one of this machine",
        )
    settings = TargetSettings(endpoint, credentials, content, http_client(endpoint), headers, _name_of(log))
    try:
        return target.open_sender(settings), target.open_scores(settings)
    except ImportError as error:
        missing = error.name or f"the one that knows {urlsplit(endpoint).scheme}://"
        hint = f"pip install '{target.package or 'sessiontap'}'" if error.name else str(error)
        raise Failure(f"{target.name} needs a package that is not installed: {missing}", hint, status=2) from None
    except ValueError as error:
        raise Misuse(f"{endpoint} cannot be used: {error}") from None


def _name_of(log: Path) -> str:
    """A name for a log, which no other one has."""
    place = f"{platform.node()}\0{log.resolve()}"
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:8]
