"""How well calls are grouped into conversations: recorded exchanges, their files interleaved at random, replayed.

Every file is a conversation or several, or single calls. The events of all files (a request, then its reply) are
shuffled together, each file's own order kept, as if one process had made all calls at once: one scope per wire family.
What `Conversations` links is compared with the parent that the recording names. A second pass gives each file a process
of its own, in which nothing may be linked across files at all.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gzip
import json
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm import content_encoding, hosts, read, routes
from sessiontap.llm.call import Call
from sessiontap.llm.history import History, ReplyFingerprint, fingerprint_of, history
from sessiontap.sessions.conversations import Conversations
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.session import Link

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
TIERS = ("declared", "exact", "strong", "weak", "new")
GOALS = {"exact + strong": 0.99, "weak": 0.90, "linked": 0.90, "first turns": 0.01}
SECOND = 1_000_000_000


@dataclass(frozen=True)
class Exchange:
    """One recorded exchange, read."""

    id: str
    file: str
    index: int
    request: Request
    call: Call
    history: History
    ending: ReplyFingerprint
    parent: int | None
    """The index of its parent within the file, as the recording names it."""
    response: Response = field(default_factory=lambda: Response(200))
    """As it went over the wire."""


@dataclass
class Tally:
    """What came out; counts are of calls."""

    continuations: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(evidence, right | wrong | unlinked)"""
    first: Counter[str] = field(default_factory=Counter)
    """new | own file (linked within its file, where the recording names no parent) | false"""
    failures: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(what, evidence, exchange)"""

    def add(self, other: Tally) -> None:
        """Take in another's counts."""
        self.continuations += other.continuations
        self.first += other.first
        self.failures += other.failures

    def share(self, tiers: Iterable[str]) -> tuple[int, int]:
        """Of the links that these tiers assert: right ones, and all."""
        right = sum(self.continuations[tier, "right"] for tier in tiers)
        return right, right + sum(self.continuations[tier, "wrong"] for tier in tiers)

    @property
    def linked(self) -> tuple[int, int]:
        """Continuations linked to the right parent, and all of them."""
        return self.share(TIERS)[0], self.continuations.total()


def load(folder: Path = CORPUS) -> list[Exchange]:
    """Every exchange of the corpus that converses."""
    found: list[Exchange] = []
    for file in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(file) as lines:
            for line in lines:
                exchange = _exchange(json.loads(line))
                if exchange is not None:
                    found.append(exchange)
    return found


def _exchange(line: dict[str, Any]) -> Exchange | None:
    if line["expect"]["family"] is None:
        return None
    url, sent, came = urlsplit(line["request"]["url"]), line["request"], line["response"]
    request = Request(
        sent["method"],
        url.hostname or "",
        (url.path or "/") + (f"?{url.query}" if url.query else ""),
        Headers((name, value) for name, value in sent["headers"]),
        _body(sent) or None,
        url.scheme,
        url.port or (443 if url.scheme == "https" else 80),
    )
    provider = hosts.provider_of(request.host, request.port)
    call = read.read_request(request, routes.endpoint_of(request.method, request.host, request.path, provider))
    if call.endpoint.operation not in ("chat", "text_completion"):
        return None
    headers = Headers((name, value) for name, value in came["headers"])
    body = content_encoding.decode(_body(came), headers.get("content-encoding")).data
    reply = read.read_reply(call, request, Response(came["status"], headers, body))
    asked = history(call)
    return Exchange(
        line["id"],
        line["id"].rpartition("#")[0],
        line["index"],
        request,
        call,
        asked,
        fingerprint_of(asked, reply, came["status"]),
        line["expect"]["parent"],
        Response(came["status"], headers, _body(came)),
    )


def _body(message: dict[str, Any]) -> bytes:
    if "body_b64" in message:
        return base64.b64decode(message["body_b64"])
    return str(message.get("body") or "").encode()


@dataclass(frozen=True)
class Store:
    """The store of proxies that share their sessions."""

    bound: str = "1s"
    """For which a call waits for it at most, as its address has it."""
    delay: float = 0.0
    """Seconds by which it answers later."""


def interleaved(exchanges: Sequence[Exchange], seed: int) -> Iterator[tuple[str, Exchange]]:
    """("ask" | "reply", exchange) of all files, shuffled, each file in its order."""
    files: dict[str, list[tuple[str, Exchange]]] = defaultdict(list)
    for exchange in exchanges:
        files[exchange.file] += [("ask", exchange), ("reply", exchange)]
    order = [file for file, events in files.items() for _ in events]
    random.Random(seed).shuffle(order)
    left = {file: iter(events) for file, events in files.items()}
    return (next(left[file]) for file in order)


def evaluate(exchanges: Sequence[Exchange], seed: int, *, own_processes: bool = False) -> Tally:
    """Replay once. With `own_processes` each file is a process, else all are one."""
    conversations, tally = Conversations(), Tally()
    by_id = {exchange.id: exchange for exchange in exchanges}
    owners: dict[str, str] = {}
    for tick, (event, exchange) in enumerate(interleaved(exchanges, seed)):
        now = tick * SECOND // 10
        if event == "reply":
            conversations.note_reply(exchange.id, exchange.ending, now)
            continue
        process = exchange.file if own_processes else "one"
        scope = MatchScope(process, exchange.call.endpoint.family)
        link = conversations.link(scope, exchange.call, exchange.history, exchange.id, now)
        count(tally, exchange, link, by_id, owners)
    return tally


def count(tally: Tally, exchange: Exchange, link: Link, by_id: dict[str, Exchange], owners: dict[str, str]) -> None:
    """Count a call by its link. `by_id` has the calls so far, `owners` the files of conversations."""
    owner = owners.setdefault(link.conversation or exchange.id, exchange.file)
    parent = by_id[link.parent] if link.parent else None
    evidence = link.evidence or "new"
    elsewhere = owner != exchange.file or (parent is not None and parent.file != exchange.file)
    if exchange.parent is not None:
        found = "unlinked"
        if parent is not None:
            found = "right" if (parent.file, parent.index) == (exchange.file, exchange.parent) else "wrong"
        elif elsewhere:
            found = "wrong"
        tally.continuations[evidence, found] += 1
        if found != "right":
            tally.failures[found, evidence, exchange.id] += 1
        return
    what = "false" if elsewhere else "own file" if parent is not None or link.kind == "retry" else "new"
    tally.first[what] += 1
    if what != "new":
        tally.failures[f"first turn: {what} ({link.kind})", evidence, exchange.id] += 1


def report(tally: Tally, seeds: int, across: int | None) -> tuple[list[str], bool]:
    """The table as lines, and whether all goals are reached. `across`: None if nothing was asked of it."""
    rows = [f"{'evidence':<10}{'right':>8}{'wrong':>8}{'unlinked':>10}   (calls per replay, mean of {seeds})"]
    for tier in TIERS:
        counts = [tally.continuations[tier, what] / seeds for what in ("right", "wrong", "unlinked")]
        rows.append(f"{tier:<10}{counts[0]:>8.1f}{counts[1]:>8.1f}{counts[2]:>10.1f}")
    met = True
    rows.append("")
    for name, (part, whole), goal in (
        ("continuations linked to the right parent", tally.linked, GOALS["linked"]),
        ("right, of exact and strong links", tally.share(("exact", "strong")), GOALS["exact + strong"]),
        ("right, of weak links", tally.share(("weak",)), GOALS["weak"]),
    ):
        good = part >= goal * whole
        met = met and good
        rows.append(_line(name, part, whole, f">= {goal:.0%}", good))
    firsts = tally.first.total()
    good = tally.first["false"] <= GOALS["first turns"] * firsts
    rows.append(_line("first turns joined to another's call", tally.first["false"], firsts, "< 1%", good))
    if across is not None:
        rows.append(_line("first turns joined to another process's", across, firsts, "none", across == 0))
    rows.append(f"  {'first turns linked within their own file':<42}{tally.first['own file'] / seeds:>8.1f} per replay")
    return rows, met and good and not across


def _line(name: str, part: int, whole: int, goal: str, good: bool) -> str:
    share = f"{part / whole:.2%}" if whole else "-"
    return f"  {name:<42}{share:>8}   goal {goal:<7}{'reached' if good else 'MISSED'}   ({part} of {whole})"


def _evaluated(exchanges: Sequence[Exchange], options: argparse.Namespace) -> tuple[Tally, int | None, list[str]]:
    """Return what came of all replays, the first turns that were joined to another process's (None: it was not looked
    at), and what else is to be said."""
    tally, across = Tally(), 0
    if options.over_http:
        from scripts.evaluate.http_conversations import OverHttp, replay

        found, store = OverHttp(), Store(options.bound, options.delay / 1000)
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as folder:
                found.add(replay(exchanges, seed, options.proxies, Path(folder), store, settled=not options.at_once))
        return found.tally, None, found.said(options.seeds)
    if options.proxies > 1:
        from scripts.evaluate.shared_conversations import evaluate_shared

        store = Store(options.bound, options.delay / 1000)
        with tempfile.TemporaryDirectory() as folder:
            return asyncio.run(evaluate_shared(exchanges, options.seeds, options.proxies, Path(folder), store))
    for seed in range(options.seeds):
        tally.add(evaluate(exchanges, seed))
        across += evaluate(exchanges, seed, own_processes=True).first["false"]
    return tally, across, []


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="eval-conversations", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "corpus", nargs="?", type=Path, default=CORPUS, help="folder of *.jsonl.gz (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=10, help="replays, each in another order (default: %(default)s)")
    parser.add_argument("--failures", action="store_true", help="name every exchange that is not as recorded")
    parser.add_argument(
        "--proxies", type=int, default=1, help="so many, which share their sessions by a redis-server (default: 1)"
    )
    parser.add_argument(
        "--over-http", action="store_true", help="as HTTP requests through real proxies behind haproxy, twelve at once"
    )
    parser.add_argument(
        "--at-once", action="store_true", help="over HTTP: ask again without waiting until a call is in the log"
    )
    parser.add_argument(
        "--bound", default="1s", help="for which a call waits for the store at most (default: %(default)s)"
    )
    parser.add_argument(
        "--delay", type=float, default=0.0, help="milliseconds by which the store answers later (default: 0)"
    )
    options = parser.parse_args(arguments)
    exchanges = load(options.corpus)
    if not exchanges:
        print(f"error: no recorded exchanges (*.jsonl.gz) in {options.corpus}", file=sys.stderr)
        return 2
    tally, across, said = _evaluated(exchanges, options)
    files = len({exchange.file for exchange in exchanges})
    many = f"{options.proxies} proxies" if options.proxies > 1 else "a proxy" if options.over_http else ""
    through = f", {'over HTTP ' if options.over_http else ''}through {many}" if many else ""
    print(f"{len(exchanges)} calls of {files} files, interleaved at random in one process{through}\n")
    rows, met = report(tally, options.seeds, across)
    print("\n".join([*rows, *(f"  {line}" for line in said)]))
    if options.failures:
        print("\nNot as recorded (replays of " + str(options.seeds) + "):")
        for (what, evidence, id), times in sorted(tally.failures.items()):
            print(f"  {times:>3}  {what}, {evidence}: {id}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
