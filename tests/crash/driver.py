"""One run of an app with a store, in a process of its own, to be killed: ``python driver.py APP RECORDS FOLDER``.

``RECORDS`` has what the app reads. ``FOLDER`` is the run's: its store (``-`` behind it: none), its dead letters, and at
the end its state, in ``state.json``. Tells on standard output how far it is: ``opening``,
``opened RECORDS CHECKPOINT``, ``ended``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from apps import CASES

from shoal._core import Counts
from shoal.run import Run, RunOptions, with_loop


def tell(*words: object) -> None:
    print(*words, flush=True)


def counted(counts: Counts) -> list[int]:
    return [counts.read, counts.applied, counts.filtered, counts.dead, counts.waiting]


def state(run: Run) -> dict[str, Any]:
    """All that there is of the shard, by names."""
    found: dict[str, Any] = json.loads(run.shard.dump())
    for declared in run.declaration.populations:
        columns = [lane.name for lane in declared.columns]
        for twin in found["populations"][declared.name]["twins"]:
            twin.pop("dirty")
            cells = twin.pop("cells")
            twin["hidden"] = cells[len(columns) :]
            twin["lanes"] = dict(zip(columns, cells, strict=False))
            twin["maps"] = {lane.name: entries for lane, entries in zip(declared.maps, twin["maps"], strict=True)}
    totals = run.totals()
    # the files' folders are in their names
    found["sources"] = [counted(counts) for counts in totals.sources.values()]
    found["between"] = counted(totals.inner)
    return found


def main(name: str, records: Path, folder: Path, store: str = "store") -> None:
    app = CASES[name].make(records)
    tell("opening")
    kept = None if store == "-" else folder / store
    run = Run(app, options=RunOptions(once=True, dead_letters=folder / "dead.jsonl", store=kept))
    try:
        found = run.recovered
        if found is not None:
            tell("opened", found.records, found.checkpoint, *found.notes)
        with_loop(run.until_done())
        (folder / "state.json").write_text(json.dumps(state(run)), "utf-8")
    finally:
        run.close()
    tell("ended")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
