"""Nothing disappears: both equations hold whenever anybody looks, whatever happens to the records."""

import asyncio
import json
import random
from pathlib import Path

import msgspec
import pytest

from shoal import App, Command, Count, Members, Reject, Twin, Value
from shoal._core import Counts
from shoal.run import Run, RunOptions
from shoal.totals import Totals

pytestmark = pytest.mark.slow


class Order(msgspec.Struct):
    id: int
    what: str


def shop() -> App[None]:
    app: App[None] = App("shop")

    @app.twin("/customer/{id}")
    class Customer(Twin):
        order = Command(Order)
        orders = Count(order)

        @order.handler
        async def on_order(self, order: Order) -> None:
            match order.what:
                case "reject":
                    raise Reject("sold out")
                case "fail":
                    raise RuntimeError("a bug")
                case "wait":
                    await asyncio.sleep(0)
            if order.what != "quiet":
                self.at(Till).paid(order.id)
                self.at(f"/nobody/{order.id}").paid(order.id)

    @app.twin("/till")
    class Till(Twin):
        paid = Command(int)
        last = Value(int, 0)
        customers = Members(Customer)
        known = Count(over=customers)

        @paid.handler
        def on_paid(self, id: int) -> None:
            if id % 7 == 0:
                raise Reject("unlucky")
            self.last = id
            self.after("1 ms", self.rest)

        def rest(self) -> None:
            pass

    app.ingest("orders.jsonl", Customer.order, where=lambda order: order.what != "filter")
    app.ingest(({"id": n, "what": "quiet"} for n in range(3_000)), Customer.order)
    return app


def holds(counts: Counts) -> bool:
    return counts.read == counts.applied + counts.filtered + counts.dead + counts.waiting


def look(run: Run) -> Totals:
    totals = run.totals()
    for name, counts in (*totals.sources.items(), ("between twins", totals.inner)):
        assert holds(counts), (name, counts)
    return totals


@pytest.mark.parametrize("seed", range(3))
def test_both_equations_hold_at_any_moment(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(seed)
    kinds = ["buy", "wait", "quiet", "reject", "fail", "filter", "broken", "foreign"]
    wanted = rng.choices(kinds, k=5_000)
    lines = {"broken": '{"id": 1, "wh', "foreign": '{"id": "x/y", "what": 3}'}
    records = [lines.get(what) or json.dumps({"id": rng.randrange(50), "what": what}) for what in wanted]
    (tmp_path / "orders.jsonl").write_text("\n".join(records))

    async def watched() -> tuple[Totals, int, int]:
        run = Run(shop(), options=RunOptions(once=True))
        running = asyncio.create_task(run.until_done())
        looks = 0
        async with asyncio.timeout(60):
            while not running.done():
                look(run)
                looks += 1
                await asyncio.sleep(0)
        await running
        totals = look(run)
        run.close()
        return totals, looks, run.dead_letters.written

    totals, looks, written = asyncio.run(watched())
    assert looks > 5
    orders, records_of_python = totals.sources.values()
    assert orders.read == 5_000
    assert orders.filtered == wanted.count("filter")
    assert orders.dead == sum(wanted.count(what) for what in ("reject", "fail", "broken", "foreign"))
    assert (records_of_python.read, records_of_python.applied) == (3_000, 3_000)
    assert orders.waiting == records_of_python.waiting == totals.inner.waiting == 0
    sent = wanted.count("buy") + wanted.count("wait")
    assert totals.inner.read >= 2 * sent
    assert totals.inner.dead >= sent  # those to nobody, and what the till refuses
    assert written == totals.dead
