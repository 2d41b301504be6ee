"""`sessiontap limits`: the limits of the rules that refuse calls, and how they are lifted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sessiontap.cli.errors import Failure, Misuse
from sessiontap.cli.options import command, json_option, trace_folder, trace_option
from sessiontap.cli.output import line, print_notice, write, write_json


@command("sessiontap limits", "sessiontap limits --lift 5f3a9c21")
@click.option("--lift", metavar="ID", help="Have this limit count from 0.")
@json_option
@trace_option
def limits(lift: str | None, json: bool, trace: Path | None) -> None:
    """List the limits that refuse calls, or lift one.

    A limit that is lifted counts from 0 in its scope: it lets as much through once more. To lift it for good, change
    it in the rules. The running proxies that write to the trace folder are asked.
    """
    from sessiontap.cli import local_proxies, proxies_of_log
    from sessiontap.proxy import own_address

    found: dict[str, list[dict[str, Any]]] = {"limits": [], "lifted": []}
    asked = 0
    for proxy in proxies_of_log.writers(trace_folder(trace)):
        assert proxy.token is not None
        answer = local_proxies.ask(proxy, own_address.limits_url(proxy.token, lift))
        if isinstance(answer, dict):
            asked += 1
            for key in found:
                found[key] += answer.get(key, ())
    if not asked:
        others = [f"the proxy at {one.url} writes to --trace {one.trace}" for one in proxies_of_log.running()]
        hint = "; ".join(others) or "its counts are the proxy's: start it first"
        raise Failure("no proxy runs that writes to this trace", hint)
    if lift is not None and not found["lifted"]:
        known = ", ".join(one["id"] for one in found["limits"])
        raise Misuse(f"no limit {lift!r} refuses calls", f"those that do: {known}" if known else "none does now")
    shown = found["lifted"] if lift is not None else found["limits"]
    if json:
        write_json(shown)
        return
    if lift is None and not shown:
        print_notice("no limit refuses calls")
    for one in shown:
        sentence = f"{one['name'] or one['rule']}: {one['text']}" if lift is None else f"lifted in {one['scope_text']}"
        write(line(f"{one['id']}  {sentence}") + "\n")
