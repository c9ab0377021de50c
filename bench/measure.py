"""One measurement: a contender in a process of its own, its seconds and its bytes."""

import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from events import FOLDER

from shoal.run import Run, RunOptions, with_loop
from shoal.totals import Totals

Sample = dict[str, float]
PAGE = os.sysconf("SC_PAGE_SIZE")


class Stopwatch:
    """``wall`` and ``cpu`` (user + system of all threads) seconds of a ``with`` block."""

    wall: float
    cpu: float

    def __enter__(self) -> "Stopwatch":
        self.wall, self.cpu = time.perf_counter(), processor()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.wall, self.cpu = time.perf_counter() - self.wall, processor() - self.cpu

    def sample(self, events: int) -> Sample:
        return {"wall": self.wall, "cpu": self.cpu, "wall_rate": events / self.wall, "rate": events / self.cpu}


def processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@dataclass
class Ran:
    """A finished run, which can still be read, and what it took."""

    run: Run
    totals: Totals
    spent: Stopwatch

    def lane(self, twin: tuple[str, ...], lane: str, population: int = 0) -> Any:
        columns = self.run.declaration.populations[population].columns
        return self.run.shard.read(population, twin, [column.name for column in columns].index(lane))

    def twins(self, population: int = 0) -> list[tuple[str, ...]]:
        return self.run.shard.twins(population)


def start(app: Any) -> Run:
    """Start-up, which is not measured: an app's run, its sources not yet opened."""
    return Run(app, None, RunOptions(once=True, dead_letters=FOLDER / "dead-letters.jsonl"))


def drive(run: Run, dead: int = 0) -> Ran:
    """From opening the sources to the last commit; ``dead`` letters are expected."""

    async def measured() -> tuple[Totals, Stopwatch]:
        # in the loop, so that its making and the import of uvloop are start-up
        with Stopwatch() as spent:
            return await run.until_done(), spent

    totals, spent = with_loop(measured())
    if totals.dead != dead or totals.waiting:
        raise SystemExit(f"the run is not clean: {totals.lines()}")
    return Ran(run, totals, spent)


def child(bench: str, contender: str) -> Sample:
    """One sample of one contender, measured in a fresh process."""
    command = [sys.executable, str(Path(__file__).with_name("run.py")), "--contender", bench, contender]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{bench} {contender} failed; its messages are above")
    sample: Sample = json.loads(done.stdout.splitlines()[-1])
    return sample


def interleaved(bench: str, contenders: list[tuple[str, str]], runs: int) -> dict[str, Sample]:
    """The medians of ``runs`` samples of each (bench, contender), taken in turns so that a slow spell hits all."""
    samples: dict[str, list[Sample]] = {contender: [] for _, contender in contenders}
    for number in range(runs):
        for home, contender in contenders:
            print(f"\r{bench}: run {number + 1} of {runs}, {contender:<24}", end="", file=sys.stderr, flush=True)
            samples[contender].append(child(home, contender))
    print(f"\r{bench}: {runs} runs{'':<40}", file=sys.stderr)
    return {
        contender: {key: statistics.median(sample[key] for sample in taken) for key in taken[0]}
        for contender, taken in samples.items()
    }
