"""`exec --force`: capture a program whatever library it uses, in the first of these ways that works on this machine.

    seccomp        Linux: `exec` answers the program's connect calls (`redirector.py`). It catches every program, also
                   one without libc, and needs no more rights than a debugger
    proxychains4   a library of the system's packages that is loaded before libc (LD_PRELOAD). It misses what makes its
                   system calls itself: Go, and whatever is linked statically
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

from sessiontap import destination_line
from sessiontap.capture.destinations import Redirected, ServerAddress

if TYPE_CHECKING:
    from sessiontap.capture.redirector import Redirector

_NOBODYS = ServerAddress(IPv4Address("192.0.2.1"), 443)  # for documentation (RFC 5737)
_TRIED_WITHIN = 5.0
"""Seconds for a trial; it takes some milliseconds."""


class CannotForce(Exception):
    """No way works here; the message says why, `hint` what would help."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Way:
    """A way to start the program so that its connections are captured."""

    name: str
    prefix: list[str] = field(default_factory=list)
    """Words before its command."""
    before_exec: Callable[[], None] | None = None
    """Run in its process before it starts."""
    after_start: Callable[[], None] = lambda: None
    """Run in ours once it has started."""
    misses: str | None = None
    """A sentence on what this way cannot catch."""


@contextmanager
def forced(proxy: tuple[str, int], environ: Mapping[str, str]) -> Iterator[Way]:
    """The way for one program, which starts and ends within the block. Raises CannotForce.

    `proxy`: IP address and port; `environ`: the program's environment, of which NO_PROXY counts.
    """
    why = why_not_seccomp()
    if why is None:
        from sessiontap.capture.redirector import Redirector  # Linux's alone

        redirector = Redirector(proxy, Redirected(proxy, environ))
        try:
            yield Way("seccomp", before_exec=redirector.before_exec, after_start=redirector.start)
        finally:
            redirector.close()
        return
    program = shutil.which("proxychains4")
    if program is None:
        hint = "install it" if sys.platform == "linux" else "`sessiontap run --mode local:NAME` may capture the program"
        raise CannotForce(f"{why}, and proxychains4 is not installed", hint)
    with tempfile.TemporaryDirectory(prefix="sessiontap-") as folder:
        configuration = Path(folder) / "proxychains.conf"
        configuration.write_text(proxychains_configuration(*proxy))
        yield Way(
            "proxychains4",
            [program, "-q", "-f", str(configuration)],
            misses=f"{why}, so proxychains4 is used: programs in Go and static ones are not captured",
        )


def proxychains_configuration(host: str, port: int) -> str:
    """Return proxychains' configuration: names are resolved by the proxy, loopback is left alone."""
    return f"""\
strict_chain
quiet_mode
proxy_dns
remote_dns_subnet 224
localnet 127.0.0.0/255.0.0.0
localnet ::1/128
[ProxyList]
http {host} {port}
"""


def why_not_seccomp() -> str | None:
    """Try it on a process of our own. Return why it does not work here; None if it does. Takes 20 ms."""
    if sys.platform != "linux":
        return "connections can be redirected only on Linux"
    from sessiontap.capture import seccomp
    from sessiontap.capture.redirector import Redirector

    if not seccomp.is_known_here():
        return "connections cannot be redirected on this processor"
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(_TRIED_WITHIN)
        redirector = Redirector(proxy.getsockname(), lambda to: to == _NOBODYS)
        try:
            failed = _open_a_connection(redirector)
            if not failed and _received(proxy) == destination_line.write(str(_NOBODYS.address), _NOBODYS.port):
                return None
        except OSError:
            failed = 0
        finally:
            redirector.close()
    if failed == errno.EBUSY:
        return "an exec around this one redirects the program's connections already"
    return f"connections cannot be redirected here: {os.strerror(failed) if failed else 'sockets cannot be taken over'}"


def _open_a_connection(redirector: Redirector) -> int:
    """Open a connection to nobody, in a process whose connections are redirected. Return 0, or an error's number."""
    process = os.fork()
    if process:
        redirector.start()
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    failed = errno.EIO
    try:
        redirector.before_exec()
        with socket.socket() as program:
            program.setblocking(False)
            failed = program.connect_ex((str(_NOBODYS.address), _NOBODYS.port))
    except OSError as error:
        failed = error.errno or errno.EIO
    finally:
        os._exit(0 if failed == errno.EINPROGRESS else failed)


def _received(proxy: socket.socket) -> bytes:
    connection, _ = proxy.accept()
    with connection:
        connection.settimeout(_TRIED_WITHIN)
        return connection.recv(1000)
