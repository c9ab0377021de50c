"""The journal: what it costs beside a run without one, what it writes, how fast a store is read back."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import events
from measure import Sample, Stopwatch, drive
from server import generate, server
from table import Row, ratio
from twins import Fix
from w1 import folds

from shoal import App, Command, Latest, Map, Twin
from shoal.run import BATCH_MICROSECONDS, Run, RunOptions
from shoal.settings import Settings
from shoal.sources.opening import Source
from shoal.turn import Runner

CONTENDERS = ["off", "on", "net", "checkpoint", "records", "stop", "fsync", "sync"]
RUNS = 7


def measure(contender: str) -> Sample:
    with folder() as store:
        match contender:
            case "off":
                return drive(start(folds(), None)).spent.sample(events.EVENTS)
            case "on":
                # to its clean end, with a checkpoint
                return drive(start(folds(), store)).spent.sample(events.EVENTS)
            case "net":
                return written(store)
            case "checkpoint":
                return read_back(store, checkpoint=True)
            case "records":
                return read_back(store, checkpoint=False)
            case "stop":
                return longest_stop(store)
            case "fsync":
                return fsyncs(store)
            case _:
                return synced(store)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for a store, on the disk that the events are on."""
    events.FOLDER.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix="store-", dir=events.FOLDER))
    try:
        yield path / "store"
    finally:
        shutil.rmtree(path)


def start(app: App[None], store: Path | None) -> Run:
    letters = events.FOLDER / "dead-letters.jsonl"
    return Run(app, None, RunOptions(once=True, dead_letters=letters, store=store))


def written(store: Path) -> Sample:
    """What of W1 goes to the disk as records."""
    run = start(folds(), store)
    run._save = lambda: settled(run)  # type: ignore[method-assign]
    before = disk()
    drive(run)
    status = run.shard.journal()
    assert status is not None
    written = disk() - before
    run.close()
    again = start(folds(), store)
    assert again.recovered is not None
    assert again.recovered.twins == events.ENTITIES, again.recovered.twins
    cells = again.recovered.changes
    again.close()
    return {"records": status.records, "record_bytes": status.bytes, "write_bytes": written, "cells": cells}


def disk() -> int:
    """Bytes that this process has had written to disks."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("write_bytes")))


def twins(settings: Settings) -> App[None]:
    app = App("twins", settings=settings)

    @app.twin("/bus/{id}")
    class Bus(Twin):
        report = Command(Fix)
        lat = Latest(report.body.lat)
        lon = Latest(report.body.lon)
        speed = Latest(report.body.speed)

    app.ingest(str(events.buses()), Bus.report)
    return app


def read_back(store: Path, *, checkpoint: bool) -> Sample:
    """A million twins of three numbers, from a checkpoint or from records."""
    settings = Settings(checkpoint_bytes=1 << 40, checkpoint_seconds=1e9)
    run = start(twins(settings), store)
    if not checkpoint:
        # as if it were killed when all is on the disk: a clean end leaves a checkpoint
        run._save = lambda: settled(run)  # type: ignore[method-assign]
    drive(run)
    run.close()
    app = twins(settings)
    with Stopwatch() as spent:
        run = start(app, store)
    found = run.recovered
    assert found is not None
    assert (found.checkpoint > 0, found.records > 0) == (checkpoint, not checkpoint)
    run.close()
    return {"twins": found.twins, "seconds": found.seconds, "cpu": spent.cpu, "changes": found.changes}


def settled(run: Run) -> None:
    run._left = True
    while (status := run.shard.journal()) is not None and status.risk_changes:
        run.shard.commit()
        time.sleep(0.01)


def longest_stop(store: Path) -> Sample:
    """A million twins with maps of ten entries are checkpointed while events write random entries of them."""
    settings = Settings(checkpoint_bytes=1 << 40, checkpoint_seconds=1e9, journal_max_bytes=1 << 40)
    app = App("maps", settings=settings)

    @app.twin("/bus/{id}")
    class Bus(Twin):
        begin = Command(Fix)
        report = Command(Fix)
        stops = Map(int, int, 0)

        @begin.handler
        def on_begin(self, _fix: Fix) -> None:
            for stop in range(10):
                self.stops[stop] = stop

        @report.handler
        def on_report(self, fix: Fix) -> None:
            self.stops[int(fix.speed) % 10] += 1

    app.ingest(str(events.buses()), Bus.begin)
    app.ingest(str(events.buses()), Bus.report)
    run = start(app, store)
    runner = Runner(run.shard, on_error=lambda *_: None, loop=asyncio.new_event_loop())

    def read(source: Source, until: Callable[[], bool]) -> list[float]:
        """Seconds of each batch of turns, with its commit."""
        source.open(run.shard)
        spent = []
        while run.shard.counts(source.number).state == "open" and not until():
            began = time.perf_counter()
            runner.batch(BATCH_MICROSECONDS)
            spent.append(time.perf_counter() - began)
        return spent

    calm = read(run.sources[0], lambda: False)
    began = time.perf_counter()
    run.shard.checkpoint()
    first = time.perf_counter() - began
    busy = read(run.sources[1], lambda: (status := run.shard.journal()) is not None and status.checkpoint > 0)
    while (status := run.shard.journal()) is not None and not status.checkpoint:
        assert not status.problem, status.problem
        time.sleep(0.01)
    run.shard.close_journal(600.0)
    run.close()
    return {
        "stop": max(first, *busy),
        "calm": sorted(calm)[len(calm) * 99 // 100],
        "snapshot": first,
        "batches": len(busy),
        "seconds": status.checkpoint_seconds if status else 0.0,
    }


def fsyncs(store: Path) -> Sample:
    """Appends of one page to a file, each synced: what the disk can do alone."""
    store.mkdir()
    page = bytes(4096)
    count, until = 0, time.perf_counter() + 2.0
    with (store / "file").open("wb", buffering=0) as file:
        while time.perf_counter() < until:
            file.write(page)
            os.fsync(file.fileno())
            count += 1
    return {"rate": count / 2.0}


def synced(store: Path) -> Sample:
    """Commands to sync lanes from 100 connections, until their sum has come back, which is when they are durable."""
    with server("sync.py", options=["--store", str(store)]) as (port, pid):
        got = generate("cmd", port, pid, ["--count", "1000000", "--conns", "100", "--nodes", "100", "--node-base", "9"])
    if got["processed"] != got["sent"]:
        raise SystemExit(f"not all commands were processed: {got}")
    return {"rate": got["processed_per_s"], "cpu_rate": got["processed"] / got["server_cpu_s"]}


def rows(medians: dict[str, Sample], _loop: Sample) -> list[Row]:
    off, on = medians["off"], medians["on"]
    wall, cpu = on["wall_rate"] / off["wall_rate"], on["rate"] / off["rate"]
    net = medians["net"]
    record, disk = net["record_bytes"] / net["cells"], net["write_bytes"] / net["cells"]
    made = [
        Row("W1 with folds, journal on against off, wall", ratio(wall), "≥ 0.85 ×", wall >= 0.85),
        Row("the same by the CPU-second", ratio(cpu), "≥ 0.7 ×", cpu >= 0.7, "a checkpoint at the end is in both"),
        Row(
            "record bytes a changed cell",
            f"{record:.1f}",
            "≤ 16",
            record <= 16,
            f"{net['records']:.0f} records, {net['cells']:,.0f} cells",
        ),
        Row("the process's `write_bytes`", f"{disk:.1f}", "≤ 40", disk <= 40),
    ]
    stop = medians["stop"]
    detail = f"a batch of 2 ms takes {stop['calm'] * 1e3:.1f} ms without (p99); the checkpoint {stop['seconds']:.1f} s"
    made.append(
        Row(
            "longest stop while 10,000,000 entries are checkpointed",
            f"{stop['stop'] * 1e3:.1f} ms",
            "≤ 20 ms",
            stop["stop"] <= 0.02,
            detail,
        )
    )
    times = medians["sync"]["rate"] / medians["fsync"]["rate"]
    detail = f"{medians['sync']['rate']:,.0f} commands a second; the file alone {medians['fsync']['rate']:,.0f} fsyncs"
    made.append(
        Row("`sync` commands of 100 connections", f"{times:,.0f} × the fsyncs", "≥ 100 ×", times >= 100, detail)
    )
    for name, what in (("checkpoint", "a checkpoint"), ("records", "records")):
        rate = medians[name]["twins"] / medians[name]["seconds"]
        made.append(
            Row(f"twins of three numbers read back from {what}", f"{rate:,.0f} a second", "≥ 1,000,000", rate >= 1e6)
        )
    return made
