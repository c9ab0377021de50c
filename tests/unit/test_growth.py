"""A schema that grows while the shard runs: what is there stays, what is new starts at its default."""

import json
from typing import Any

import msgspec
import pytest

from shoal import Above, App, Command, Count, History, Latest, Map, Max, Mean, Members, Reject, Sum, Twin, Value
from shoal.errors import DeclarationError


class Report(msgspec.Struct):
    id: str
    x: float | None = None
    hall: str | None = None


class Wider(Report):
    y: float | None = None


def made() -> tuple[App[None], Any, Any]:
    app = App("growth")

    @app.twin("/cell/{id}")
    class Cell(Twin):
        report = Command(Report)
        bump = Command(int)
        hall = Latest(report.body.hall)
        x = Latest(report.body.x)
        mean = Mean(x)
        top = Max(x, last="1 min")
        past = History(x, count=5)
        over = Above(x, 10.0, hold="30 s")
        entries = Map(str, int, 0)
        written = Count(entries)
        calls = Value(int, 0)

        @report.handler
        def on_report(self, report: Report) -> None:
            self.entries["n"] += 1
            if report.x == 13.0:
                raise Reject("thirteen")

        @mean.changed
        def on_mean(self, new: float) -> None:
            self.calls += 1

    @app.twin("/hall/{hall}")
    class Hall(Twin):
        cells = Members(Cell, by=Cell.hall)
        x = Sum(Cell.x, over=cells)

    return app, Cell, Hall


def grow(app: App[None], cell: Any, hall: Any, lanes: int = 1) -> None:
    def more() -> dict[str, Any]:
        found: dict[str, Any] = {"y": Latest(cell.report.body.y)}
        found["y_count"] = Count(found["y"])
        found["y_mean"] = Mean(found["y"])
        found["y_top"] = Max(found["y"], last="1 min")
        found["y_past"] = History(found["y"], count=2)
        for number in range(lanes):
            found[f"more_{number}"] = Value(int, number)
        return found

    cell.__shoal__.grow(cell.report, Wider, more)
    hall.__shoal__.add_lanes({"y": Sum(cell.y, over=hall.cells), "least": Max(cell.x, over=hall.cells)})


def take_over(t: Any) -> None:
    t.shard.extend(*t.app.declaration())
    t._settle()


@pytest.mark.parametrize("lanes", [1, 60, 130])
def test_a_schema_grows(lanes: int) -> None:
    app, cell, hall = made()
    with app.test() as t:
        for key, x in (("a", 1.0), ("b", 4.0), ("a", 3.0)):
            t.at(cell, key).report(Report(key, x, "h"))
        grow(app, cell, hall, lanes)
        take_over(t)
        a = t.at(cell, "a")
        assert (a.x, a.mean, a.top, a.calls, a.entries["n"], a.written) == (3.0, 2.0, 3.0, 2, 2, 2)
        assert (a.y_count, a.y_past, t.at(cell, "b").more_0) == (0, (), 0)
        assert t.shard.read(0, ("a",), cell.__shoal__.lanes["y"].column) is None
        assert (t.at(hall, "h").x, t.at(hall, "h").y, t.at(hall, "h").least) == (7.0, 0.0, 4.0)
        a.report(Wider("a", 11.0, "h", 5.0))
        a.report(Wider("a", None, None, 7.0))
        assert (a.y, a.y_count, a.y_mean, a.y_top, len(a.y_past)) == (7.0, 2, 6.0, 7.0, 2)
        assert (a.mean, a.calls, a.entries["n"]) == (5.0, 3, 4)
        assert (t.at(hall, "h").x, t.at(hall, "h").y, t.at(hall, "h").least) == (15.0, 7.0, 11.0)
        t.advance("30 s")
        assert a.over
        t.advance("31 s")
        assert t.shard.read(0, ("a",), cell.__shoal__.lanes["top"].column) is None
        assert t.shard.read(0, ("a",), cell.__shoal__.lanes["y_top"].column) is None
        # one that was never there
        t.at(cell, "c").report(Wider("c", 1.0, "h", 2.0))
        assert (t.at(cell, "c").y, t.at(cell, "c").more_0, t.at(hall, "h").y) == (2.0, 0, 9.0)


def test_a_turn_that_fails_after_a_growth_leaves_no_trace() -> None:
    app, cell, hall = made()
    with app.test() as t:
        t.at(cell, "a").report(Report("a", 1.0, "h"))
        grow(app, cell, hall, 70)
        take_over(t)
        t.at(cell, "a").report(Wider("a", 2.0, "h", 3.0))
        before = json.loads(t.shard.dump())
        t.at(cell, "a").report(Wider("a", 13.0, "g", 4.0))
        after = json.loads(t.shard.dump())
        assert t.rejected == ["/cell/a: thirteen"]
        assert after == before


def test_commands_that_wait_are_as_wide_as_the_new_body() -> None:
    app, cell, hall = made()
    with app.test() as t:
        schema = cell.__shoal__
        t.shard.post_to(schema.population, ("a",), cell.report.number, Report("a", 1.0, "h"))
        grow(app, cell, hall)
        take_over(t)
        assert (t.at(cell, "a").x, t.at(cell, "a").y_count) == (1.0, 0)


def test_what_does_not_only_grow_is_refused_and_changes_nothing() -> None:
    app, cell, _ = made()
    other = App("other")

    @other.twin("/cell/{id}")
    class Cell(Twin):
        x = Value(float, 0.0)

    @other.twin("/hall/{hall}")
    class Hall(Twin):
        x = Value(float, 0.0)

    with app.test() as t:
        t.at(cell, "a").report(Report("a", 1.0, "h"))
        before = t.shard.dump()
        with pytest.raises(DeclarationError, match="Cell: lanes can only be added behind those that are there"):
            t.shard.extend(*other.declaration())
        assert t.shard.dump() == before
        t.at(cell, "a").report(Report("a", 2.0, "h"))
        assert t.at(cell, "a").mean == 1.5


def test_a_name_that_is_taken_is_refused() -> None:
    _, cell, _ = made()
    with pytest.raises(DeclarationError, match="has a lane 'x' already"):
        cell.__shoal__.add_lanes({"x": Value(float, 0.0)})
    with pytest.raises(DeclarationError, match="has a lane 'mean' already"):
        cell.__shoal__.add_lanes({"other": Value(float, 0.0, name="mean")})
