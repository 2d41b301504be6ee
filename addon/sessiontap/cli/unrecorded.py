"""Why a call is not in the log, as sentences: what the proxy passed, what went past it, what it lost.

They rest on facts: the proxy's own answer (proxy/passed.py), and the kernel's table of connections. A host has the name
by which it was asked for; of an address without a name the address is shown.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sessiontap.cli.direct_connections import LOCAL_SERVERS, DirectConnection, host_names
from sessiontap.cli.local_proxies import RunningProxy, ask
from sessiontap.cli.output import line
from sessiontap.proxy import own_address
from sessiontap.units import plural, size

WEB_PORTS = (80, 443)
"""Ports on which an API of another machine is expected."""
SHOWN = 5
"""Lines of one kind."""
FAILED = ("distrust", "refused")
"""Reasons for which calls to LLM hosts are missing, whatever else was recorded."""
_NAME_IT = "To record it: --host {named}, or `hosts: [{{host: '{named}'}}]` in rules.yaml"
_TRUST = "The proxy says how the program can be made to trust it"
_WHY = {
    "unknown_host": f"not known as an LLM's host, so it was not decrypted. {_NAME_IT}",
    "distrust": f"it refused the proxy's certificate before, so its calls pass unrecorded for a while. {_TRUST}",
    "refused": f"it refused the proxy's certificate, and that connection failed. {_TRUST}",
    "ignore": "a rule says `ignore`",
    "path": f"a path of no LLM API that is known. {_NAME_IT}",
    "body": f"plain HTTP, and its body is no LLM call's. {_NAME_IT}",
    "http2": "HTTP/2 without TLS, which cannot be read",
    "not_http": "another protocol than HTTP",
}


def passed(proxy: RunningProxy, pid: int | None = None) -> Mapping[str, Any]:
    """The proxy's answer: what of process `pid` and its children went through it unrecorded. Empty if it gives none."""
    answer = ask(proxy, own_address.passed_url(pid))
    return answer if isinstance(answer, dict) else {}


def after_run(answer: Mapping[str, Any], direct: Iterable[DirectConnection], *, calls: int, whole: bool) -> list[str]:
    """The lines at the end of `exec`, none if nothing that matters is missing; with `whole` all there is to say."""
    items = answer.get("passed") or []
    failed = [item for item in items if item.get("why") in FAILED]
    others = [item for item in items if item.get("why") not in FAILED]
    lines = _limited([*map(_passage, failed)], SHOWN)
    lines += _limited(directly(direct, everything=whole or not calls), SHOWN)
    if whole or not calls:
        lines += _limited([*map(_passage, others)], SHOWN if not whole else len(others))
    else:
        unknown = dict.fromkeys(str(item["host"]) for item in others if item.get("why") in ("unknown_host", "path"))
        if unknown:
            some = ", ".join([*unknown][:3]) + (", ..." if len(unknown) > 3 else "")
            hosts = plural(len(unknown), "other host")
            lines.append(f"{hosts} passed unrecorded ({some}): `sessiontap doctor -- CMD` says why")
    if lost := answer.get("lost_records"):
        lines.append(f"{plural(lost, 'record')} could not be written")
    return lines


def text(lines: Iterable[str]) -> str:
    """The lines as `exec` prints them."""
    return "".join(f"sessiontap: not recorded: {line(one)}\n" for one in lines)


def directly(connections: Iterable[DirectConnection], *, everything: bool) -> list[str]:
    """A line for each program and address that it is connected to past the proxy.

    If calls were recorded, only those to ports on which an LLM API is expected; `everything`: to any.
    """
    found = [one for one in connections if everything or one.port in (LOCAL_SERVERS if _is_local(one) else WEB_PORTS)]
    names = host_names(one.address for one in found)
    return [_direct(one, names.get(one.address)) for one in found]


def _direct(one: DirectConnection, name: str | None) -> str:
    host = name or (f"[{one.address}]" if ":" in one.address else one.address)
    who = f"{one.program} (pid {one.pid}) connects directly to {host}:{one.port}"
    if _is_local(one):
        known = LOCAL_SERVERS.get(one.port)
        server = f", the usual port of {known}" if known else ""
        return f"{who}{server}. To record it: --host localhost:{one.port}"
    return f"{who}: it ignores HTTPS_PROXY (`exec --force` captures it), or NO_PROXY excepts the host"


def _is_local(one: DirectConnection) -> bool:
    return ipaddress.ip_address(one.address).is_loopback


def _passage(item: Mapping[str, Any]) -> str:
    from sessiontap.analysis.recorded_call import why_unknown  # it loads `llm` and the rules

    unknown = why_unknown(item.get("process_unknown"))
    nobody = f"a program at {item.get('client')} whose process is not known" + (f" ({unknown})" if unknown else "")
    who = item.get("program") or nobody
    pids = item.get("pids") or []
    who += f" (pid {pids[0]}{', ...' if len(pids) > 1 else ''})" if pids else ""
    host, port = item.get("host"), item.get("port")
    number = item.get("requests") or item.get("connections") or 0
    how_often = plural(number, "request" if item.get("requests") else "connection")
    amount = [one for one in (item.get("sent"), item.get("received")) if one is not None]
    how_much = f", {size(sum(amount))}" if amount else ""
    why = _WHY.get(str(item.get("why")), str(item.get("why"))).format(
        named=host if port in (80, 443) else f"{host}:{port}"
    )
    return f"{who} to {host}:{port}, {how_often}{how_much}: {why}"


def _limited(lines: Sequence[str], most: int) -> list[str]:
    rest = len(lines) - most
    return [*lines[:most], *([f"{rest} more of this kind: `sessiontap doctor -- CMD` lists them"] if rest > 0 else [])]
