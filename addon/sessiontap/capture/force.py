"""`exec --force`: capture a program whatever library it uses. Choose the way that this machine allows.

    supervised     Linux: the program's connect calls are answered by `exec` (`supervisor.py`). It catches every program,
                   those without libc too, and needs no right but to look into one's own processes
    proxychains4   a library that is loaded before libc (LD_PRELOAD), from the system's packages. It cannot catch what
                   makes its system calls itself: Go, and whatever is linked statically

The first that works is taken; which one, and why none does, is said in words.
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

from sessiontap import destination_line
from sessiontap.capture import seccomp
from sessiontap.capture.destinations import Destination, Redirected
from sessiontap.capture.supervisor import Supervisor

_NOBODYS = Destination(IPv4Address("192.0.2.1"), 443)  # for documentation (RFC 5737)
_TRIED_WITHIN = 5.0
"""Seconds for a trial; it takes some milliseconds."""


class CannotForce(Exception):
    """No way works here; the message says why, `hint` what would help."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Way:
    """How to start the program."""

    name: str
    prefix: list[str] = field(default_factory=list)
    """Words before its command."""
    before_exec: Callable[[], None] | None = None
    """Run in its process before it starts."""
    misses: str | None = None
    """A sentence on what this way cannot catch."""


@contextmanager
def forced(proxy: tuple[str, int], environ: Mapping[str, str]) -> Iterator[Way]:
    """The way for one program, which starts and ends within the block. Raises CannotForce.

    `proxy`: IP address and port; `environ`: the program's environment, of which NO_PROXY counts.
    """
    why = why_not_supervised()
    if why is None:
        supervisor = Supervisor(proxy, Redirected(proxy, environ))
        try:
            yield Way("supervised", before_exec=supervisor.before_exec)
        finally:
            supervisor.close()
        return
    if sys.platform == "darwin":
        raise CannotForce("macOS lets nobody redirect another program's connections", "sessiontap run --mode local:NAME")
    program = shutil.which("proxychains4")
    if program is None:
        raise CannotForce(f"{why}, and proxychains4 is not installed", "install your system's package proxychains4")
    with tempfile.TemporaryDirectory(prefix="sessiontap-") as folder:
        configuration = Path(folder) / "proxychains.conf"
        configuration.write_text(proxychains_configuration(*proxy))
        yield Way(
            "proxychains4",
            [program, "-q", "-f", str(configuration)],
            misses=f"{why}, so proxychains4 is used: Go programs and static ones are not captured",
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


def why_not_supervised() -> str | None:
    """Try it on a process of our own. Return why it does not work here; None if it does."""
    if sys.platform != "linux":
        return "only Linux can supervise connections"
    if not seccomp.is_known_here():
        return "connections cannot be supervised on this processor"
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        try:
            supervisor = Supervisor(proxy.getsockname(), lambda to: to == _NOBODYS)
        except OSError as error:
            return f"connections cannot be supervised here ({error.strerror})"
        try:
            error = _try_out(supervisor)
            proxy.settimeout(_TRIED_WITHIN)
            if not error and _received(proxy) == destination_line.write(str(_NOBODYS.address), _NOBODYS.port):
                return None
        except OSError:
            error = 0
        finally:
            supervisor.close()
    if error == errno.EBUSY:
        return "the program is supervised already, by the exec around this one"
    return f"connections cannot be supervised here ({os.strerror(error) if error else 'sockets cannot be taken over'})"


def _try_out(supervisor: Supervisor) -> int:
    """Open a connection to nobody in a supervised process. Return 0, or the number of the error that this met."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    error = errno.EIO
    try:
        supervisor.before_exec()
        with socket.socket() as program:
            program.setblocking(False)
            error = program.connect_ex((str(_NOBODYS.address), _NOBODYS.port))
            error = 0 if error == errno.EINPROGRESS else error
    except OSError as failed:
        error = failed.errno or errno.EIO
    finally:
        os._exit(error)


def _received(proxy: socket.socket) -> bytes:
    connection, _ = proxy.accept()
    with connection:
        connection.settimeout(_TRIED_WITHIN)
        return connection.recv(1000)
