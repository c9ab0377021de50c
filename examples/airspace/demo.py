"""``make demo``: live twins of three hours of air traffic, at 60 times its pace or as fast as it goes.

python examples/airspace/demo.py [--speed 60 | --max] [--once] [--check] [--simulated]
"""

import argparse
import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

# run as a script, this file's folder is on the path, but not the package it belongs to
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console
from rich.live import Live

from airspace import recorded, serving, simulator, totals
from airspace.app import Aircraft, app
from airspace.readings import Readings
from airspace.recount import recount
from airspace.screen import Screen
from shoal.errors import ShoalError
from shoal.run import Run, RunOptions, with_loop

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "airspace"
FRAME = 0.2  # s
FIRST_LOG = 1.0  # s
LOG = 10.0  # s between log lines where there is no screen
ROWS = {False: recorded.ROWS, True: 251_985}  # by simulated; for the progress bar

logger = logging.getLogger("airspace")


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parser().parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    path, simulated = data(chosen.cache, chosen.simulated)
    speed: float | Literal["max"] = chosen.speed or 60.0
    if chosen.max or (chosen.once and chosen.speed is None):
        speed = "max"
    app.ingest(str(path), Aircraft.report, speed=speed)
    console = Console()
    live = console.is_terminal and not chosen.once
    options = RunOptions(
        once=True,
        dead_letters=chosen.cache / "dead-letters.jsonl",
        port=None if chosen.once else serving.PORT,
        signals=True,
    )
    # each demo shows its own dead letters, not those of the ones before
    (chosen.cache / "dead-letters.jsonl").unlink(missing_ok=True)
    run = Run(app, None, options)
    try:
        if said := serving.listen(run):
            print(f"demo: {said}", file=sys.stderr)
        hints = serving.Hints(run.address)
        screen = Screen("max" if speed == "max" else f"{speed:g}×", simulated, ROWS[simulated], hints)
        with_loop(watched(run, console, screen) if live else logged(run, hints))
        return closing(run, path, simulated, chosen.check)
    except ShoalError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        run.close()


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="demo", description="Live twins of three hours of air traffic over Paris.")
    pace = made.add_mutually_exclusive_group()
    pace.add_argument("--speed", type=float, metavar="FACTOR", help="times the pace of the recording (default: 60)")
    pace.add_argument("--max", action="store_true", help="as fast as it goes")
    made.add_argument("--once", action="store_true", help="no screen, log lines only; at max unless --speed is given")
    made.add_argument("--check", action="store_true", help="recount the file by a plain loop at the end and compare")
    made.add_argument("--simulated", action="store_true", help="the simulator's traffic, also where there is a network")
    made.add_argument("--cache", type=Path, default=CACHE, help="folder for the data (default: .cache/airspace)")
    return made


def data(cache: Path, simulated: bool) -> tuple[Path, bool]:
    """The file to read, and whether it is simulated."""
    if not simulated:
        try:
            return recorded.prepare(cache), False
        except recorded.Unavailable as error:
            print(f"demo: no recording: {error}", file=sys.stderr)
            print("demo: SIMULATED traffic instead, from a seeded simulator", file=sys.stderr)
    return simulator.prepare(cache), True


async def watched(run: Run, console: Console, screen: Screen) -> None:
    """Drives the run under the live view. Frames are drawn in the run's own thread, between batches."""
    readings = Readings(run)
    task = asyncio.ensure_future(run.until_done())
    rate = Rate()
    with Live(console=console, screen=True, auto_refresh=False, redirect_stderr=False) as live:
        while not task.done():
            now = readings.snapshot()
            live.update(screen.render(now, rate.at(now.read), *console.size), refresh=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(task), FRAME)
        now = readings.snapshot()
        live.update(screen.render(now, rate.at(now.read), *console.size), refresh=True)
    await task
    # the last frame stays on the terminal, above the totals
    height = min(max(console.height - 10, 24), 40)
    console.print(screen.render(now, rate.at(now.read), console.width, height), height=height)


async def logged(run: Run, hints: serving.Hints) -> None:
    readings = Readings(run)
    task = asyncio.ensure_future(run.until_done())
    rate = Rate()
    wait = FIRST_LOG
    while not task.done():
        await asyncio.wait({task}, timeout=wait)
        wait = LOG
        now = readings.snapshot()
        logger.info(
            "%s  %d reports, %.0f events/s, %d aircraft, %d airborne, %d alerts, %d refused",
            now.time, now.read, rate.at(now.read), now.known, now.airborne, now.alerts, now.dead,
        )  # fmt: skip
        if not hints.shown:
            for line in hints.of(now):
                logger.info("try: %s", line)
    await task


class Rate:
    """Events a second of real time, over the last seconds."""

    def __init__(self) -> None:
        self.marks = [(time.perf_counter(), 0)]

    def at(self, read: int) -> float:
        self.marks = [*self.marks[-24:], (time.perf_counter(), read)]
        (start, before), (now, after) = self.marks[0], self.marks[-1]
        return (after - before) / max(now - start, 1e-9)


def closing(run: Run, path: Path, simulated: bool, check: bool) -> int:
    """Prints the totals; the exit code: 1 where the recount disagrees."""
    readings = Readings(run)
    for line in totals.lines(readings, simulated):
        print(line)
    for line in run.totals().lines():
        print(line)
    if run.interrupted:
        print("interrupted: these are the totals so far")
    elif check:
        found = totals.differences(readings, recount(path))
        for difference in found:
            print(difference)
        print("a plain recount of the file " + (f"differs in {len(found)} numbers" if found else "agrees"))
        return 1 if found else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
