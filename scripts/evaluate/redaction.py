"""How much redaction finds, and what it takes that is no credential.

Recall: of made-up credentials (tests/redaction/made_up.py, drawn with a fixed seed) in the places where they occur, by
name and by shape. False positives: every redaction in recorded exchanges, listed with what stands around it, to be
judged by a person; what `JUDGED` knows is counted by its judgement.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "addon")]

from tests.redaction.made_up import SEED, Made, found, made_up  # noqa: E402

from sessiontap.redaction import Redactor  # noqa: E402

CORPUS = ROOT.parent / "shared" / "corpus"
JUDGED = {
    "a credential that the recorder replaced": re.compile(rb"X-Amz-(?:Security-Token|Signature)=\x00REDACTED\x00"),
    "a credential's parameter, with a test's value": re.compile(rb"\Aapikey=\x00test_api_key\x00|&apikey=\x00"),
}
"""Judgements on what is redacted in recorded exchanges; the redacted part stands between NULs."""
_AROUND = 40


@dataclass
class Recall:
    """What was made up, and what of it was missed."""

    made: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    by_place: Counter[str] = field(default_factory=Counter)
    missed_in: Counter[str] = field(default_factory=Counter)

    def add(self, made: Made, is_found: bool) -> None:
        """Count one by what it goes by, and by its place."""
        for key in made.by.split(", "):
            self.made[key] += 1
            self.missed[key] += not is_found
        self.by_place[made.place] += 1
        self.missed_in[made.place] += not is_found


def recall(redactor: Redactor, count: int = 5000, seed: int = SEED) -> Recall:
    """Of so many made-up credentials."""
    result = Recall()
    for made in made_up(count, seed):
        result.add(made, found(made, redactor))
    return result


def bodies(folder: Path) -> Iterator[bytes]:
    """Those of the recorded exchanges in `folder`."""
    for file in sorted(folder.glob("*.jsonl.gz")):
        for line in gzip.decompress(file.read_bytes()).splitlines():
            exchange = json.loads(line)
            for side in ("request", "response"):
                text, encoded = exchange[side].get("body"), exchange[side].get("body_b64")
                if text is not None or encoded is not None:
                    yield text.encode() if text is not None else base64.b64decode(encoded)


_TOKEN = re.compile(rb"\[redacted:[\w.*-]{1,80}:[0-9a-f]{10}\]")


def redactions(redactor: Redactor, body: bytes) -> list[bytes]:
    """What was redacted of a body, between NULs, with what stands around it."""
    left = redactor.body(body)
    places, at = [], 0
    tokens = list(_TOKEN.finditer(left))
    for number, token in enumerate(tokens):
        at += token.start() - (tokens[number - 1].end() if number else 0)
        end = tokens[number + 1].start() if number + 1 < len(tokens) else len(left)
        behind = left[token.end() : min(end, token.end() + 200)]
        stop = body.find(behind, at) if behind else len(body)
        places.append(body[max(0, at - _AROUND) : at] + b"\0" + body[at:stop] + b"\0" + body[stop : stop + _AROUND])
        at = stop
    return places


def judge(places: Iterable[bytes]) -> Counter[str]:
    """How many redactions of each judgement; what is not judged counts by what it is."""
    judged: Counter[str] = Counter()
    for place in places:
        known = (name for name, pattern in JUDGED.items() if pattern.search(place))
        judged[next(known, f"not judged: {place.decode('utf-8', 'replace')}")] += 1
    return judged


def _table(title: str, counts: Counter[str], missed: Counter[str]) -> Iterator[str]:
    width = max(map(len, counts))
    yield f"\n{title:{width}}  {'made':>6} {'found':>6}"
    for key in sorted(counts):
        yield f"{key:{width}}  {counts[key]:6} {counts[key] - missed[key]:6}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", type=Path, default=CORPUS, help="recorded exchanges (*.jsonl.gz)")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    redactor = Redactor(b"evaluation")
    result = recall(redactor, options.count, options.seed)
    for title in ("name", "shape", "form"):
        counts = Counter({key: number for key, number in result.made.items() if key.startswith(f"{title} ")})
        print(*_table(f"by {title}", counts, result.missed), sep="\n")
    print(*_table("by place", result.by_place, result.missed_in), sep="\n")
    lost = sum(result.missed_in.values())
    print(f"\n{result.by_place.total()} made up, {result.by_place.total() - lost} found, {lost} missed")
    found_in = list(bodies(options.folder))
    if not found_in:
        print(f"\nno recorded exchanges in {options.folder}")
        return 0
    judged = judge(place for body in found_in for place in redactions(redactor, body))
    print(f"\n{sum(map(len, found_in)) / 1e6:.1f} MB of recorded bodies, {judged.total()} redactions:")
    for what, number in judged.most_common():
        print(f"{number:6}  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
