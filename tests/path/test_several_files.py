"""A replay of several files: their events are merged by time."""

import json
from datetime import datetime
from pathlib import Path

import msgspec

from shoal import App, Command, Count, Twin, Value
from shoal.run import RunOptions, once

START = 1_700_000_000


class Tick(msgspec.Struct):
    id: str
    t: int


def test_events_of_several_files_are_applied_in_the_order_of_their_times(tmp_path: Path) -> None:
    app = App("merged")
    seen: list[tuple[str, int]] = []

    @app.twin("/thing/{id}")
    class Thing(Twin):
        tick = Command(Tick, time="t")
        ticks = Count(tick)
        last = Value(datetime | None, None)

        @tick.handler
        def on_tick(self, tick: Tick) -> None:
            self.last = self.now
            seen.append((tick.id, tick.t))

    written = []
    for number, step in enumerate((1, 3, 7)):
        path = tmp_path / f"{number}.jsonl"
        ticks = [{"id": str(number), "t": START + second} for second in range(0, 20_000, step)]
        path.write_text("\n".join(map(json.dumps, ticks)))
        written += [(str(number), tick["t"]) for tick in ticks]
        app.ingest(str(path), Thing.tick)
    (tmp_path / "empty.jsonl").write_text("")
    app.ingest(str(tmp_path / "empty.jsonl"), Thing.tick)

    totals = once(app, options=RunOptions(once=True, dead_letters=tmp_path / "dead.jsonl"))

    assert sorted(seen) == sorted(written)
    assert [time for _, time in seen] == sorted(time for _, time in seen)
    assert sum(counts.late for counts in totals.sources.values()) == 0
    assert totals.waiting == 0
