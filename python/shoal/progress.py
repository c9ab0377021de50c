"""What a person sees while a run goes: a live view on a terminal, a log line each 10 s elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
import sys
from typing import TYPE_CHECKING, Protocol

from shoal.totals import count

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from shoal._core import JournalStatus
    from shoal.run import Run
    from shoal.totals import Totals
    from shoal.watch import Watch

FRAME_SECONDS = 0.25
LOG_SECONDS = 10.0

log = logging.getLogger("shoal")


class Progress(Protocol):
    """Shows a run until it is closed. Reads of the run only, in its own thread."""

    def begin(self) -> None:
        """Takes the terminal."""

    async def follow(self) -> None:
        """Shows the run again and again; ends by being cancelled."""

    def close(self) -> None:
        """Shows the end, and leaves the terminal as it was."""


def choose(run: Run, watched: list[str]) -> Progress:
    """``DeclarationError`` where a watched URI belongs to no twin class."""
    watch = None
    if watched:
        from shoal.watch import Watch

        watch = Watch(run, watched)
    return Live(run, watch) if sys.stderr.isatty() else Log(run, watch)


class Log:
    """A line each LOG_SECONDS; watched twins are printed once, at the end."""

    def __init__(self, run: Run, watch: Watch | None) -> None:
        self._run = run
        self._watch = watch

    def begin(self) -> None:
        pass

    async def follow(self) -> None:
        rate = Rate()
        while True:
            await asyncio.sleep(LOG_SECONDS)
            log.info("%s", status(totals := self._run.totals(), rate.of(totals)))

    def close(self) -> None:
        if self._watch is not None:
            from rich.console import Console

            Console(stderr=True, width=120).print(self._watch.frame(rows=60))


class Live:
    """A line with the sums, below the watched twins, four times a second. What others print goes above it."""

    def __init__(self, run: Run, watch: Watch | None, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self._run = run
        self._watch = watch
        self._rate = Rate()
        # bytes read, by source
        self._reached: dict[str, int] = {}
        self._console = console or Console(stderr=True)
        # no thread of its own: a second busy thread would delay the shard's
        self._live = RichLive(console=self._console, auto_refresh=False, redirect_stdout=sys.stdout.isatty())

    def begin(self) -> None:
        self._live.start()

    async def follow(self) -> None:
        while True:
            self._live.update(self._frame(), refresh=True)
            await asyncio.sleep(FRAME_SECONDS)

    def close(self) -> None:
        self._live.update(self._frame(), refresh=True)
        self._live.stop()

    def _frame(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        totals = self._run.totals()
        words = Text(
            f"{self._run.app.name}  {status(totals, self._rate.of(totals))}", style="bold", overflow="ellipsis"
        )
        words.no_wrap = True
        if totals.dead:
            words.highlight_regex(r"[\d,]+ dead letters?", "red")
        words.highlight_regex(r"waiting for the disk|no checkpoint: .*|\d+ of \d+ servers? connected: .*", "red")
        line = Table.grid(padding=(0, 2))
        part = self._part(totals)
        if part is None:
            line.add_row(words)
        else:
            line.add_row(ProgressBar(total=1.0, completed=part, width=20), f"{part:4.0%}", words)
        if self._watch is None:
            return line
        return Group(self._watch.frame(rows=max(3, self._console.height - 4)), line)

    def _part(self, totals: Totals) -> float | None:
        """How much of all files has been read, 0 to 1; None where a source's end is not known."""
        sizes, read = 0, 0
        for source in self._run.sources:
            file = source.declaration.file
            if file is None or (place := place_in(file.path)) is None:
                return None
            at, size = place
            counts = totals.sources.get(source.name)
            if counts is not None and counts.state == "done":
                at = size
            # a reader that was stopped has its file no longer open
            self._reached[source.name] = max(at, self._reached.get(source.name, 0))
            sizes += size
            read += self._reached[source.name]
        return read / sizes if sizes else None


def place_in(path: str) -> tuple[int, int] | None:
    """(bytes read, bytes in all) of a file that a reader of this process has open; None for pipes and beyond Linux.

    The kernel keeps how far each open file has been read: nobody on the way of an event has to count bytes.
    """
    try:
        wanted = os.stat(path)
        if not stat.S_ISREG(wanted.st_mode):
            return None
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # closed meanwhile
                if os.path.samestat(os.stat(f"/proc/self/fd/{number}"), wanted):
                    with open(f"/proc/self/fdinfo/{number}") as info:
                        return int(info.readline().split()[1]), wanted.st_size
    except OSError:
        return None
    return 0, wanted.st_size


class Rate:
    """Events a second since the last time that it was asked."""

    def __init__(self) -> None:
        self._read = 0
        self._wall = 0.0

    def of(self, totals: Totals) -> float:
        events = totals.read - max(self._read, totals.earlier)
        seconds = totals.spent.wall - self._wall
        self._read, self._wall = totals.read, totals.spent.wall
        return events / seconds if seconds > 0 else 0.0


def status(totals: Totals, rate: float) -> str:
    """``1,234 records  820 events/s  12 twins  0 dead letters  saved, 0.04 s and 33 changes at risk``."""
    waiting = f"  {totals.waiting:,} waiting" if totals.waiting else ""
    letters = "1 dead letter" if totals.dead == 1 else f"{totals.dead:,} dead letters"
    sums = f"{totals.read:,} records  {rate:,.0f} events/s  {totals.all_twins:,} twins"
    return f"{sums}  {letters}{waiting}{saved(totals.journal)}{linked(totals.remotes)}"


def linked(remotes: dict[str, str]) -> str:
    """Other servers, and what is wrong with the first that there is no connection to."""
    if not remotes:
        return ""
    away = [trouble for trouble in remotes.values() if trouble]
    text = f"  {len(remotes) - len(away)} of {count(len(remotes), 'server')} connected"
    return f"{text}: {away[0]}" if away else text


def saved(journal: JournalStatus | None) -> str:
    """The loss bound: what would be lost if the process ended now, and what is wrong with the disk."""
    if journal is None:
        return ""
    text = "  waiting for the disk" if journal.paused else "  saved"
    if journal.risk_changes:
        changes = "1 change" if journal.risk_changes == 1 else f"{journal.risk_changes:,} changes"
        text += f", {journal.risk_seconds:.2f} s and {changes} at risk"
    return text + (f"  no checkpoint: {journal.problem}" if journal.problem else "")
