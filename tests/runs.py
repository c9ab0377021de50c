"""A file through a whole run, in this process: what came of each record."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from shoal import App, Command, Count, Latest, Twin
from shoal._core import Counts
from shoal.lanes.lane import Lane
from shoal.run import Run, RunOptions, with_loop
from shoal.totals import Totals


@dataclass
class Outcome:
    """``twins``: lane values by URI, in their column's form. ``letters``: the lines of the dead-letter file."""

    totals: Totals
    letters: list[dict[str, Any]]
    twins: dict[str, dict[str, Any]]
    clock: int

    @property
    def counts(self) -> Counts:
        """Of the only source."""
        (counts,) = self.totals.sources.values()
        return counts

    @property
    def reasons(self) -> list[str]:
        return [letter["reason"] for letter in self.letters]

    @property
    def positions(self) -> list[int]:
        return [letter["position"] for letter in self.letters]


def run(app: App[Any], folder: Path, **options: Any) -> Outcome:
    """Runs to the end of the sources, and checks on the way out that nothing has disappeared."""
    made = Run(app, options=RunOptions(once=True, dead_letters=folder / "dead.jsonl", **options))
    try:
        totals = with_loop(made.until_done())
        twins = {}
        for number, cls in enumerate(made.classes):
            lanes = [lane for lane in cls.__shoal__.lanes.values() if isinstance(lane, Lane)]
            for key in made.shard.twins(number):
                uri = made.shard.uri(number, key)
                twins[uri] = {lane.attribute: made.shard.read(number, key, lane.column) for lane in lanes}
        clock = made.shard.now()
    finally:
        made.close()
    for counts in (*totals.sources.values(), totals.inner):
        assert counts.read == counts.applied + counts.filtered + counts.dead + counts.waiting
    path = folder / "dead.jsonl"
    letters = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    assert totals.dead <= len(letters)
    return Outcome(totals, letters, twins, clock)


def one_twin_app(file: Path, body: Any, tz: str = "UTC", **options: Any) -> App[None]:
    """Twins of ``/thing/{id}`` that keep each field of ``body`` (a record type with an ``id``) and count."""
    app = App("things", tz=tz)
    report = Command(body)
    lanes: dict[str, Any] = {"report": report, "seen": Count(report)}
    for field in msgspec.inspect.type_info(body).fields:  # type: ignore[attr-defined]
        if field.name != "id":
            lanes[field.name] = Latest(getattr(report.body, field.name))
    thing: Any = type(Twin)("Thing", (Twin,), lanes)
    app.twin("/thing/{id}", thing)
    app.ingest(str(file), thing.report, **options)
    return app


def run_text(text: str | bytes, body: Any, folder: Path, name: str = "things.jsonl", **options: Any) -> Outcome:
    """The text as a file of that name, through ``one_twin_app``."""
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return run(one_twin_app(file, body, **options), folder)


Ran = Callable[..., Outcome]
