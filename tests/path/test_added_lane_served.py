"""A lane that is added while the app is served, with a store: links to it work, and the next run has it."""

from pathlib import Path
from typing import Any

import pytest
from wire import served

from shoal import App, Command, Max, Supply, Twin, Value
from shoal.run import Run, RunOptions, with_loop


def make() -> tuple[App[None], Any]:
    app = App("served")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        speed = Value(float, 1.0)
        grow = Command(str)

        @grow.handler
        def on_grow(self, name: str) -> None:
            app.add_lane(Bus, name, Value(float, 0.5))
            app.add_lane(Bus, "top", Max(Bus.speed))
            app.add_lane(Bus, "alerts", Supply(str))

    return app, Bus


def test_links_to_an_added_lane_work(tmp_path: Path) -> None:
    app, _ = make()
    with served(app, tmp_path) as server:
        wire = server.open()
        wire.text('@sync(node:"/bus/7",lane:speed)', '@command(node:"/bus/7",lane:grow) load')
        assert [wire.envelope() for _ in range(3)][-1] == '@synced(node:"/bus/7",lane:speed)'
        # in the queue behind the command that adds it
        while "load" not in server.get("/bus/7").json:
            pass
        wire.text('@sync(node:"/bus/7",lane:load)', '@command(node:"/bus/7",lane:load) 2.5')
        assert [wire.envelope() for _ in range(4)] == [
            '@linked(node:"/bus/7",lane:load)',
            '@event(node:"/bus/7",lane:load) 0.5',
            '@synced(node:"/bus/7",lane:load)',
            '@event(node:"/bus/7",lane:load) 2.5',
        ]
        wire.text('@command(node:"/bus/7",lane:speed) 9')
        assert wire.envelope() == '@event(node:"/bus/7",lane:speed) 9'
        assert server.get("/bus/7").json == {"speed": 9.0, "load": 2.5, "top": 9.0}


def run(app: App[None], folder: Path, *posts: tuple[str, str, Any]) -> None:
    """A run with a store, to which a program posts; it ends when all is applied."""
    options = RunOptions(store=folder / "store", dead_letters=folder / "dead.jsonl", once=True)
    run = Run(app, options=options)
    for post in posts:
        run.shard.post(*post)
    try:
        with_loop(run.until_done())
    finally:
        run.close()


@pytest.mark.parametrize("before", [True, False])
def test_a_store_keeps_an_added_lane(tmp_path: Path, before: bool) -> None:
    app, bus = make()
    if before:
        app.add_lane(bus, "load", Value(float, 0.5))
        run(app, tmp_path, ("/bus/7", "load", 3.0))
    else:
        run(app, tmp_path, ("/bus/7", "grow", "load"))
        assert "load" in vars(bus)
        run(app, tmp_path, ("/bus/7", "load", 3.0))
    again, bus = make()
    again.add_lane(bus, "load", Value(float, 0.5))
    if not before:
        again.add_lane(bus, "top", Max(bus.speed))
    store = Run(again, options=RunOptions(store=tmp_path / "store", dead_letters=tmp_path / "dead.jsonl"))
    try:
        number = bus.load.column
        assert store.shard.read(0, ["7"], number) == 3.0
    finally:
        store.close()
