"""An agent's session of 200 turns, recorded through the proxy: how small the log is, how quick a body is had from it.

    scripts/bench agent [--turns N] [--pace MILLISECONDS] [--keep FOLDER]

mitmdump with the addon and a rule that gives the session a name stands between a client and an upstream that play the
session of `claude.py`. What then lies in the log is compared with what was sent, byte for byte, and with its size.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import ssl
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import claude
import msgpack  # type: ignore[import-untyped]

from proxy import HERE, ROOT, free_port, process, until_open
from sessiontap import trace
from sessiontap.trace.files import open_segment, segments

RULES = """
version: 1
send: [helicone]
rules:
  - rule: agent
    match: {host: api.anthropic.com}
    session: {name: Fix the tests, path: /agent}
    properties: {app: bench}
"""


async def talk(port: int, turns: int) -> None:
    """The client's side: a keep-alive connection, a turn after the other."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(f"CONNECT {claude.HOST}:443 HTTP/1.1\r\nHost: {claude.HOST}:443\r\n\r\n".encode())
    if b" 200 " not in await reader.readuntil(b"\r\n\r\n"):
        raise SystemExit("bench: the proxy does not connect")
    await writer.start_tls(context, server_hostname=claude.HOST)
    for number in range(turns):
        body = claude.request(number)
        fields = [*claude.HEADERS, ("Content-Length", str(len(body)))]
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        writer.write(f"POST {claude.TARGET} HTTP/1.1\r\n{head}\r\n".encode() + body)
        status = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in status.split(b"\r\n", 1)[0]:
            raise SystemExit(f"bench: {status!r}")
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    writer.close()


def record(folder: Path, turns: int, pace: float) -> Path:
    """Have the session recorded. The trace's folder."""
    with ExitStack() as stack:
        command = [sys.executable, str(HERE / "upstream.py"), str(folder), str(pace)]
        upstream = stack.enter_context(process(command, {}, None, -1))
        assert upstream.stdout is not None
        table = f"{claude.HOST}={upstream.stdout.readline().strip()}"
        (folder / "rules.yaml").write_text(RULES)
        port = free_port()
        arguments = [
            str(Path(sys.executable).with_name("mitmdump")),
            *("--listen-host", "127.0.0.1", "-p", str(port)),
            *("-s", str(ROOT / "addon/sessiontap/demo/redirect.py"), "-s", str(ROOT / "addon/main.py")),
            *("--set", f"confdir={folder / 'confdir'}"),
            *("--set", f"ssl_verify_upstream_trusted_ca={folder / 'ca.pem'}"),
            *("--set", "connection_strategy=lazy"),
            *("--set", f"session_rules={folder / 'rules.yaml'}", "--set", f"session_trace={folder / 'trace'}"),
        ]
        stack.enter_context(process(arguments, {"SESSIONTAP_DEMO_REDIRECT": table, "HOME": str(folder)}, None))
        asyncio.run(_wait_and_talk(port, turns))
    return folder / "trace"


async def _wait_and_talk(port: int, turns: int) -> None:
    await until_open(port)
    await talk(port, turns)


def parts(folder: Path) -> Counter[str]:
    """What the plain bytes of the log are."""
    found: Counter[str] = Counter()
    for path in segments(folder):
        with open_segment(path) as file:
            data = file.read()
        found["frames"] += len(data)
        for value in msgpack.Unpacker(io.BytesIO(data), max_buffer_size=0, strict_map_key=False):
            if not isinstance(value, dict):
                continue
            size = _size(value)
            found["frames"] -= size
            if value["type"] != "call":
                found[f"{value['type']} records"] += size
                continue
            for side in ("request", "response"):
                message = value.get(side) or {}
                for key, what in (("headers", "headers"), ("chunks", "chunk times and sizes"), ("body", "")):
                    part = message.get(key)
                    if key == "body" and isinstance(part, dict):
                        found[f"{side} bodies"] += _size(part["data"])
                        found["sizes, sums and bases of bodies"] += _size(part) - _size(part["data"])
                    elif part is not None:
                        found[what] += _size(part)
                    size -= _size(part)
            for key in ("llm", "link", "session", "changes"):
                found[key] += _size(value.get(key))
                size -= _size(value.get(key))
            found["all else of calls"] += size
    return found


def _size(value: Any) -> int:
    return len(msgpack.packb(value))


def report(folder: Path, turns: int) -> None:
    """Print sizes and times; leave with an error where a body is not what was sent."""
    sent = [claude.request(number) for number in range(turns)]
    plain = sum(map(len, sent))
    listed = segments(folder).values()
    if not all(one.closed for one in listed):
        raise SystemExit("bench: the proxy ended and has not closed its segment")
    size, found = sum(one.size for one in listed), parts(folder)
    stored = [call.record for call in trace.open(folder).calls(newest_first=False)]
    if len(stored) != turns:
        raise SystemExit(f"bench: the log holds {len(stored)} calls of {turns}")
    took: dict[str, list[float]] = {"request": [], "response": []}
    for number, record in enumerate(stored):
        request, reply = (_rebuilt(folder, record["id"], side, took[side]) for side in ("request", "response"))
        if request != sent[number] or reply != b"".join(claude.events(number)):
            raise SystemExit(f"bench: the bodies of call {record['id']} are not what went by")
    print(f"an agent's session of {turns} turns through the proxy, the last of {len(sent[-1]) / 1e3:,.0f} KB")
    print(f"  its requests' JSON {plain / 1e6:>8.2f} MB")
    written = sum(found.values())
    print(f"  while written      {written / 1e6:>8.3f} MB   1/{plain / written:.0f}")
    print(f"  once closed        {size / 1e6:>8.3f} MB   1/{plain / size:.0f} (goal: at most 1/150)")
    print("  of the bytes while written")
    for what, count in found.most_common():
        print(f"    {what:<32} {count / 1e3:>7.1f} KB   {count / turns:>6.0f} B a call")
    print(f"  all {2 * turns} bodies are byte for byte what went by")
    for side, seconds in took.items():
        print(
            f"  a {side}'s body, nothing known before: {median(seconds) * 1e3:.1f} ms at the median, "
            f"{max(seconds) * 1e3:.1f} ms at most (goal: under 20)"
        )


def _rebuilt(folder: Path, call_id: str, side: str, took: list[float]) -> bytes | None:
    """The body; in `took` the seconds for it, the least of three, as the machine has other work too."""
    tries = []
    for _ in range(3):
        call = trace.open(folder).call(call_id)
        began = time.perf_counter()
        body = call.body(side)
        tries.append(time.perf_counter() - began)
    took.append(min(tries))
    return body


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--pace", type=float, default=4.0, help="mean milliseconds between two events of a reply")
    parser.add_argument("--keep", type=Path, help="a folder that is left with the trace in it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sessiontap-bench-") as name:
        folder = given.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        report(record(folder, given.turns, given.pace), given.turns)


if __name__ == "__main__":
    main()
