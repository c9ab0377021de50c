"""Stores of every format: how they are made, and what is read of one."""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from shoal.lanes.lane import Lane
from shoal.lanes.map import Map
from shoal.run import Run, RunOptions, with_loop

HERE = Path(__file__).parent
# records that were applied when a store was made, and before its checkpoint
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
    """The store of an app, as this version writes it: a checkpoint, records behind it, commands that wait."""
    shutil.rmtree(format / "store", ignore_errors=True)
    lines = [json.dumps(record) + "\n" for record in runpy.run_path(str(format / "app.py"))["records"]()]
    os.chdir(format)
    os.environ["SHOAL_KEPT_SLOWLY"] = "1"
    for count in (CHECKPOINTED, APPLIED):
        (format / "records.jsonl").write_text("".join(lines[:count]), "utf-8")
        run = opened(format, format, once=False)
        if count == APPLIED:
            _checkpointed(run)
            # as if it were killed: a clean end leaves a checkpoint and no records behind it
            run._save = lambda run=run: setattr(run, "_left", True)  # type: ignore[method-assign,misc]
        with_loop(_for_a_second(run))
        run.close()
    (format / "records.jsonl").write_text("".join(lines), "utf-8")
    (format / "dead.jsonl").unlink()
    (format / "store" / "lock").unlink()
    del os.environ["SHOAL_KEPT_SLOWLY"]
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


def _checkpointed(run: Run) -> None:
    run.shard.checkpoint()
    deadline = time.monotonic() + 20
    while (status := run.shard.journal()) is None or status.checkpoint == 0:
        assert time.monotonic() < deadline, status
        time.sleep(0.01)


async def _for_a_second(run: Run) -> None:
    asyncio.get_running_loop().call_later(1.0, run.stop)
    await run.until_done()


if __name__ == "__main__":
    make(HERE / sys.argv[1])
