"""Stores of every format: how they are made, and what is read of one."""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from shoal.lanes.lane import Lane
from shoal.lanes.map import Map
from shoal.run import Run, RunOptions, with_loop

HERE = Path(__file__).parent
# records that were applied when a store was left, and before its checkpoint
APPLIED, CHECKPOINTED = 20, 12


def state(run: Run) -> dict[str, Any]:
    """Every twin's lanes, by its URI."""
    found: dict[str, Any] = {}
    for number, cls in enumerate(run.classes):
        for key in run.shard.twins(number):
            lanes: dict[str, Any] = {}
            for lane in cls.__shoal__.lanes.values():
                if isinstance(lane, Lane):
                    lanes[lane.attribute] = msgspec.to_builtins(run.shard.read(number, key, lane.column))
                elif isinstance(lane, Map):
                    lanes[lane.attribute] = [list(entry) for entry in run.shard.read_map(number, key, lane.number)]
            found[run.shard.uri(number, key)] = lanes
    return json.loads(msgspec.json.encode(found))


def opened(format: Path, folder: Path, **options: Any) -> Run:
    """A run of the format's app on the store in a folder, with the working directory there."""
    app = runpy.run_path(str(format / "app.py"))["make"]()
    options = {"once": True, "store": folder / "store", "dead_letters": folder / "dead.jsonl"} | options
    return Run(app, options=RunOptions(**options))


def to_the_end(format: Path, folder: Path) -> dict[str, Any]:
    run = opened(format, folder)
    try:
        with_loop(run.until_done())
        return state(run)
    finally:
        run.close()


def make(format: Path) -> None:
    """The store of an app, as this version leaves it when it is killed.

    It has a checkpoint, records behind it in SQLite's log, and commands that wait.
    """
    shutil.rmtree(format / "store", ignore_errors=True)
    lines = [json.dumps(record) + "\n" for record in runpy.run_path(str(format / "app.py"))["records"]()]
    os.chdir(format)
    for count, step in ((CHECKPOINTED, "ended"), (APPLIED, "killed")):
        (format / "records.jsonl").write_text("".join(lines[:count]), "utf-8")
        subprocess.run([sys.executable, __file__, format.name, step], check=step == "ended", timeout=60)
    (format / "records.jsonl").write_text("".join(lines), "utf-8")
    (format / "dead.jsonl").unlink(missing_ok=True)
    for name in ("lock", "control"):
        (format / "store" / name).unlink(missing_ok=True)
    # with the eyes of the version that wrote it
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(format, Path(folder) / "copy")
        os.chdir(copy)
        run = opened(format, copy)
        expected = {"opened": state(run)}
        run.shard.close_journal(20.0)
        run.close()
        expected["ended"] = to_the_end(format, copy)
    (format / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _step(format: Path, step: str) -> None:
    if step == "ended":
        to_the_end(format, format)
        return
    os.environ["SHOAL_KEPT_SLOWLY"] = "1"
    run = opened(format, format, once=False)
    with_loop(_killed(run))


async def _killed(run: Run) -> None:
    # all records are on the disk by then
    asyncio.get_running_loop().call_later(2.0, os.kill, os.getpid(), signal.SIGKILL)
    await run.until_done()


if __name__ == "__main__":
    name, *steps = sys.argv[1:]
    if steps:
        _step(HERE / name, *steps)
    else:
        make(HERE / name)
