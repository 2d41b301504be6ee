"""`sessiontap env`: the variables that take a program through the proxy."""

from __future__ import annotations

import os
import sys

import click

from sessiontap.cli.options import command, json_option
from sessiontap.cli.output import note, write, write_json

DEFAULT_PORT = 8080  # mitmproxy's
_IN_CONTAINER = "/etc/sessiontap"


@command(
    'eval "$(sessiontap env)"                                 # bash, zsh, sh',
    "sessiontap env --shell fish | source",
    "sessiontap env --shell pwsh | Out-String | Invoke-Expression",
    'eval docker run "$(sessiontap env --shell docker)" IMAGE',
)
@click.option(
    "--shell",
    type=click.Choice(["bash", "fish", "pwsh", "docker"]),
    default="bash",
    help="The shell whose syntax is written; bash is for every POSIX shell.",
)
@json_option
def env(shell: str, json: bool) -> None:
    """Print the proxy and CA variables for a shell: of the proxy that runs, else of one on its default port."""
    from sessiontap.cli import local_proxies
    from sessiontap.cli.environment import (
        docker_arguments,
        foreign_proxy,
        prepare,
        prepare_home,
        shell_script,
        variables,
    )

    prepare_home()
    proxy = local_proxies.newest()
    if proxy is None:
        note(f"no proxy runs here; the variables are for one on its default port {DEFAULT_PORT} (sessiontap run)")
    surroundings = prepare(proxy.confdir if proxy else None, os.environ)
    url = proxy.url if proxy else local_proxies.url("127.0.0.1", DEFAULT_PORT)

    if shell == "docker" and not json:
        if proxy and proxy.host in ("127.0.0.1", "::1") and proxy.listens_on == proxy.host and sys.platform == "linux":
            note("the proxy listens on loopback, which containers do not reach: start it with --listen-host 172.17.0.1")
        pem, store = surroundings.bundle.pem, surroundings.bundle.truststore
        mounts = {str(pem): f"{_IN_CONTAINER}/ca.pem", str(store): f"{_IN_CONTAINER}/ca.p12"}
        inside = local_proxies.url("host.docker.internal", proxy.port if proxy else DEFAULT_PORT)
        # What is set on this machine says nothing about the container: only the new values go in.
        found = variables(inside, mounts[str(pem)], mounts[str(pem)], {}, mounts[str(store)])
        write(docker_arguments(found, mounts))
        return

    if foreign_proxy(os.environ, [url]):
        note("the proxy that HTTPS_PROXY names is replaced; to go on through it: sessiontap run --mode upstream:URL")
    found = surroundings.variables(url, os.environ)
    if json:
        write_json(found)
    else:
        write(shell_script(shell, found))
