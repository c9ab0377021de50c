"""What a run has done so far, in numbers: read = applied + filtered + dead-lettered + waiting."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from shoal._core import Counts, JournalStatus, Shard


class Spent(NamedTuple):
    """Seconds: real ones, and those of all threads of the process on a CPU."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Spent:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return cls(time.perf_counter(), used.ru_utime + used.ru_stime)

    def since(self, start: Spent) -> Spent:
        return Spent(self.wall - start.wall, self.cpu - start.cpu)


@dataclass(frozen=True)
class Totals:
    """Counts of one moment of a run, with those of earlier runs where a store has them. ``sources`` is by the sources'
    names, in the order of ``app.ingest``.
    """

    sources: dict[str, Counts]
    # commands of connections, HTTP requests and programs
    outside: Counts
    inner: Counts
    # by the classes' names
    twins: dict[str, int]
    spent: Spent
    # None: there is no store
    journal: JournalStatus | None = None
    # of the events read, those of earlier runs with the store
    earlier: int = 0
    # other servers that there are links to or commands for, with what is wrong: "" of those that are connected
    remotes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, shard: Shard, sources: dict[str, int], populations: list[str], start: Spent, earlier: int = 0
    ) -> Totals:
        return cls(
            {name: shard.counts(number) for name, number in sources.items()},
            shard.outside_counts(),
            shard.inner_counts(),
            {name: shard.size(number) for number, name in enumerate(populations)},
            Spent.now().since(start),
            shard.journal(),
            earlier,
            {host: "" if connected else trouble or "connecting" for host, connected, _, _, trouble in shard.remotes()},
        )

    @property
    def read(self) -> int:
        """Events from outside the shard."""
        return self.outside.read + sum(counts.read for counts in self.sources.values())

    @property
    def dead(self) -> int:
        return self.inner.dead + self.outside.dead + sum(counts.dead for counts in self.sources.values())

    @property
    def waiting(self) -> int:
        return self.inner.waiting + self.outside.waiting + sum(counts.waiting for counts in self.sources.values())

    @property
    def all_twins(self) -> int:
        return sum(self.twins.values())

    @property
    def failed(self) -> dict[str, str]:
        """Sources that could not be read to their end, and why."""
        return {name: counts.state for name, counts in self.sources.items() if counts.state not in ("open", "done")}

    def lines(self) -> list[str]:
        """The closing line: the equations of each source, of commands from outside and between twins, and the sums."""
        lines = []
        for name, counts in self.sources.items():
            late = f", {counts.late:,} late" if counts.late else ""
            lines.append(f"{name}: {counts.read:,} read = {_right_side(counts, filtered=True)}{late}")
        if self.outside.read:
            lines.append(f"from outside: {self.outside.read:,} sent = {_right_side(self.outside, filtered=False)}")
        lines.append(f"between twins: {self.inner.read:,} sent = {_right_side(self.inner, filtered=False)}")
        rate = (self.read - self.earlier) / self.spent.wall if self.spent.wall > 0 else 0.0
        wall, cpu = self.spent
        lines.append(f"{count(self.all_twins, 'twin')}, {rate:,.0f} events/s, {wall:.2f} s, CPU {cpu:.2f} s")
        return lines


def _right_side(counts: Counts, *, filtered: bool) -> str:
    terms = [f"{counts.applied:,} applied"]
    if filtered:
        terms.append(f"{counts.filtered:,} filtered")
    terms += [f"{counts.dead:,} dead-lettered", f"{counts.waiting:,} waiting"]
    return " + ".join(terms)


def count(number: int, noun: str) -> str:
    """``1 twin``, ``1,234 twins``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size(number: int) -> str:
    """``900 bytes``, ``1.7 MB``: of a file."""
    if number < 1_000:
        return count(number, "byte")
    unit, scale = next((unit, scale) for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)) if number >= scale)
    return f"{number / scale:,.1f} {unit}"
