"""Mutation runs: `scripts/fuzz --target readers --minutes 5 --seed 1`."""

from __future__ import annotations

import argparse
import secrets
import sys
from functools import partial
from pathlib import Path

from tests.fuzz.material import CORPUS
from tests.fuzz.rounds import Failure, run_case, run_round
from tests.fuzz.targets import TARGETS


def main(arguments: list[str] | None = None) -> int:
    """Run, print what came of it; 1 where something failed."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--target", action="append", choices=TARGETS, help="only these; all of them without")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--cases", type=int, default=0, help="so many for each target, however long they take")
    parser.add_argument("--seed", type=int, help="of all that is drawn; without it a new one, which is printed")
    parser.add_argument("--case", type=int, help="one case alone, again: with --target and --seed")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="folder of recorded exchanges (*.jsonl.gz)")
    parser.add_argument("--output", type=Path, default=Path("fuzz-failures"), help="folder for what failed")
    given = parser.parse_args(arguments)
    corpus = given.corpus if any(given.corpus.glob("*.jsonl.gz")) else None
    seed = secrets.randbelow(10**6) if given.seed is None else given.seed
    told = f"exchanges recorded in {corpus}" if corpus else "made-up exchanges alone"
    print(f"seed {seed}, {told}", flush=True)
    failed = False
    for name in given.target or TARGETS:
        prepare = partial(TARGETS[name].load(), corpus)
        if given.case is not None:
            failure = run_case(name, prepare, seed, given.case)
            print(f"{name}: case {given.case}: {failure.error if failure else 'holds'}")
            if failure:
                print(failure.what, failure.trace, sep="\n")
            failed |= failure is not None
            continue
        found = run_round(name, prepare, seed, seconds=0 if given.cases else given.minutes * 60, cases=given.cases)
        print(f"{name}: {found.cases:,} cases in {found.seconds:.0f} s, {len(found.failures)} failures", flush=True)
        for failure in found.failures:
            _tell(failure, given.output)
        failed |= bool(found.failures)
    return int(failed)


def _tell(failure: Failure, folder: Path) -> None:
    file = failure.save(folder)
    print(f"  case {failure.number}: {failure.what}\n    {failure.error}\n    {failure.again}   ({file})", flush=True)


if __name__ == "__main__":
    sys.exit(main())
