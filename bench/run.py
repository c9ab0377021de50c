"""``make bench``: runs the benchmarks and prints the table; ``bench/run.py w1 maps --runs 3`` is quicker."""

import argparse
import importlib
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

import events
from measure import Sample, interleaved
from table import REFERENCE, Row, markdown

BENCHES = ["w1", "lanes", "twins", "rollup", "maps", "recon", "server", "journal", "links", "demand"]
FILES = {
    "w1": events.w1,
    "journal": events.buses,
    "twins": events.buses,
    "rollup": events.readings,
    "maps": events.buses,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run.py", description="The benchmarks of docs/benchmarks.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}; all without a name")
    parser.add_argument("--runs", type=int, help="samples of each contender (default: 7)")
    parser.add_argument("--contender", nargs=2, metavar=("BENCH", "NAME"), help="one sample, printed as JSON")
    chosen = parser.parse_args()
    if chosen.contender:
        bench, contender = chosen.contender
        print(json.dumps(importlib.import_module(bench).measure(contender)))
        return 0
    unknown = set(chosen.names) - set(BENCHES)
    if unknown:
        parser.error(f"there is no bench {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    head = machine()
    print(head, flush=True)
    made: list[Row] = []
    for name in chosen.names or BENCHES:
        made += results(name, chosen.runs)
        print(markdown(made[-1:]).splitlines()[-1], flush=True)
    text = head + "\n" + markdown(made)
    events.FOLDER.mkdir(parents=True, exist_ok=True)
    path = events.FOLDER / "results.md"
    path.write_text(text)
    print("\n" + markdown(made) + f"\nwritten to {path}")
    return 0


def results(name: str, runs: int | None) -> list[Row]:
    """The rows of one bench. The hand-written loop runs beside its contenders: it scales the absolute figures."""
    for path in {events.w1(), FILES.get(name, events.w1)()}:
        events.warm(path)
    bench = importlib.import_module(name)
    contenders = [("loop", "loop"), *((name, contender) for contender in bench.CONTENDERS)]
    medians: dict[str, Sample] = interleaved(name, contenders, runs or bench.RUNS)
    loop = medians["loop"]
    rows: list[Row] = bench.rows(medians, loop)
    detail = f"{loop['rate']:,.0f} a CPU-second, {loop['rate'] / REFERENCE:.2f} × the reference machine's"
    return [Row(f"({name}) the hand-written loop", ratio_one(), "", None, detail), *rows]


def ratio_one() -> str:
    return "1.00 ×"


def machine() -> str:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    made = datetime.now(UTC).strftime("%Y-%m-%d")
    return f"{made}, {model}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {platform.system()}"


if __name__ == "__main__":
    sys.exit(main())
