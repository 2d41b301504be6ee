"""`sessiontap env`: the variables that take a program through the proxy."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from sessiontap.cli.errors import Misuse
from sessiontap.cli.options import command, json_option
from sessiontap.cli.output import print_notice, write, write_json
from sessiontap.cli.rules_files import rules_file

if TYPE_CHECKING:
    from sessiontap.cli.ca_bundle import Bundle

DEFAULT_PORT = 8080  # mitmproxy's
_IN_CONTAINER = "/etc/sessiontap"


@command(
    'eval "$(sessiontap env)"                                 # bash, zsh, sh',
    'eval "$(sessiontap env --undo)"                          # as it was before',
    "sessiontap env --shell fish | source",
    "sessiontap env --shell pwsh | Out-String | Invoke-Expression",
    'eval docker run "$(sessiontap env --shell docker)" IMAGE',
)
@click.option(
    "--shell",
    metavar="SHELL",
    type=click.Choice(["bash", "fish", "pwsh", "docker"]),
    default="bash",
    help="The syntax to write: bash (every POSIX shell), fish, pwsh or docker.",
)
@click.option("--undo", is_flag=True, help="Print the commands that restore what was set before.")
@json_option
def env(shell: str, undo: bool, json: bool) -> None:
    """Print the variables that take programs through the proxy.

    They name the proxy that runs, else one on its default port, and its CA for each runtime that has a variable for it.
    """
    from sessiontap.cli import local_proxies
    from sessiontap.cli.environment import (
        foreign_proxy,
        original,
        prepare,
        prepare_home,
        shell_script,
        undone,
    )
    from sessiontap.cli.exec_rules import captured_hosts

    if undo:
        if shell == "docker":
            raise Misuse("a container's variables end with it", "name the shell with --shell")
        back = undone(os.environ)
        if json:
            write_json(back)
        else:
            write(shell_script(shell, back))
        return
    prepare_home()
    proxy = next(local_proxies.usable(), None)
    if proxy is None:
        print_notice(
            f"no proxy runs here; the variables are for one on its default port {DEFAULT_PORT} (sessiontap run)"
        )
        if dead := local_proxies.dead_proxy(os.environ):
            print_notice(
                f"the proxy at {dead}, which this terminal's variables name, has ended; env --undo takes them back"
            )
    before = original(os.environ)
    surroundings = prepare(proxy.confdir if proxy else None, before)
    listener = proxy.plain if proxy else None
    url = listener.url if listener else local_proxies.url("127.0.0.1", DEFAULT_PORT)

    if shell == "docker" and not json:
        if listener and listener.host in ("127.0.0.1", "::1") and sys.platform == "linux":
            print_notice(
                "the proxy listens on loopback, which containers do not reach: start it with --listen-host 172.17.0.1"
            )
        write(_docker(surroundings.bundle, listener.port if listener else DEFAULT_PORT))
        return

    if (name := foreign_proxy(before)) and (listener is None or listener.mode != "upstream"):
        print_notice(
            f"the proxy that {name} names is replaced; to go on through it: sessiontap run --mode upstream:URL"
        )
    found = surroundings.variables(url, before, captured_hosts(proxy.rules if proxy else rules_file(None)))
    if json:
        write_json(found)
    else:
        write(shell_script(shell, found))


def _docker(bundle: Bundle, port: int) -> str:
    """Return the arguments of `docker run`, for the proxy on this port of the host."""
    from sessiontap.cli import local_proxies
    from sessiontap.cli.environment import docker_arguments, variables

    mounts = {str(bundle.pem): f"{_IN_CONTAINER}/ca.pem", str(bundle.truststore): f"{_IN_CONTAINER}/ca.p12"}
    pem, store = mounts.values()
    inside = local_proxies.url("host.docker.internal", port)
    # What is set on this machine says nothing about the container: only the new values go in.
    return docker_arguments(variables(inside, pem, pem, {}, store), mounts)
