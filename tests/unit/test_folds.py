"""Folds: what each starts at, what steps it, and what does not."""

from typing import Any

import msgspec
import pytest

from shoal import Above, App, Below, Command, Count, Ewma, Latest, Map, Max, Mean, Min, Point, Reject, Sum, Twin, Value
from shoal.errors import Unset, WrongType


class Fix(msgspec.Struct):
    x: float | None = None
    n: int | None = None
    lat: float | None = None
    lon: float | None = None


app = App("folds")


@app.twin("/thing/{id}")
class Thing(Twin):
    report = Command(Fix)
    write = Command(float)
    no = Command(float)
    put = Command(int)
    peek = Command()
    assign = Command()
    set_limit = Command(float)
    x = Latest(report.body.x)
    given = Latest(report.body.n, -1)
    place = Latest(Point(report.body.lat, report.body.lon))
    reports = Count(report)
    total = Sum(report.body.n)
    low = Min(report.body.n)
    high = Max(report.body.x)
    mean = Mean(report.body.n)
    level = Value(float, 0.0)
    limit = Value(float, 10.0)
    smooth = Ewma(level, alpha=0.5)
    top = Max(smooth)
    over = Above(level, 10.0, clear=8.0)
    under = Below(level, 3.0, clear=5.0)
    plain = Above(level, 10.0)
    moving = Above(level, limit)
    held = Above(level, 10.0, hold="30 s")
    writes = Count(level)
    entries = Map(str, int, 0)
    seen = Value(tuple[float, ...], ())
    switched = Value(int, 0)

    @write.handler
    def on_write(self, x: float) -> None:
        self.level = x
        # the next line of a handler reads what its own write stepped
        self.seen = (self.smooth, self.top, float(self.writes))

    @no.handler
    def on_no(self, x: float) -> None:
        self.level = x
        raise Reject("no")

    @set_limit.handler
    def on_set_limit(self, x: float) -> None:
        self.limit = x

    @assign.handler
    def on_assign(self) -> None:
        self.smooth = 1.0  # type: ignore[assignment]

    @peek.handler
    def on_peek(self) -> None:
        assert self.x

    @over.changed
    def on_over(self, new: bool) -> None:
        self.switched += 1


def thing(t: Any) -> Any:
    return t.at(Thing, "1")


def test_what_each_starts_at() -> None:
    with app.test() as t:
        thing(t).report(Fix())
        one = thing(t)
        assert (one.reports, one.total, one.given, one.over, one.under, one.writes) == (1, 0, -1, False, False, 0)
        for lane in ("x", "low", "high", "mean", "place", "smooth", "top"):
            with pytest.raises(Unset, match=lane):
                getattr(one, lane)


def test_reading_an_unset_fold_fails_a_turn_and_names_it() -> None:
    with app.test(strict=False) as t:
        thing(t).peek()
        assert isinstance(t.errors[0], Unset)
        assert "x" in str(t.errors[0])


def test_none_and_missing_fields_step_nothing() -> None:
    with app.test() as t:
        thing(t).report(Fix(x=3.0, n=4, lat=1.0, lon=2.0))
        thing(t).report(Fix(lat=9.0))
        t.post("/thing/1", "report", {"x": None})
        one = thing(t)
        assert (one.x, one.total, one.low, one.high, one.mean, one.place) == (3.0, 4, 4, 3.0, 4.0, Point(1.0, 2.0))
        assert one.reports == 3


def test_whole_numbers_stay_whole() -> None:
    with app.test() as t:
        big = 2**53 + 1
        thing(t).report(Fix(n=big))
        thing(t).report(Fix(n=1))
        one = thing(t)
        assert (one.total, one.low, one.given) == (big + 1, 1, 1)
        assert {type(one.total), type(one.low)} == {int}
        assert type(one.mean) is float


def test_a_sum_beyond_int64_fails_the_turn_and_steps_no_other_fold() -> None:
    with app.test(strict=False) as t:
        thing(t).report(Fix(n=2**63 - 1, x=1.0))
        thing(t).report(Fix(n=1, x=2.0))
        one = thing(t)
        assert (one.total, one.reports, one.x, one.low) == (2**63 - 1, 1, 1.0, 2**63 - 1)
        (letter,) = t.dead_letters
        assert "total" in letter.reason


def test_a_fold_that_would_become_infinite_fails_the_turn() -> None:
    app = App("infinite")

    @app.twin("/one")
    class One(Twin):
        add = Command(float)
        total = Sum(add.body)
        adds = Count(add)

    with app.test(strict=False) as t:
        t.at(One).add(1.7e308)
        t.at(One).add(1.7e308)
        assert (t.at(One).total, t.at(One).adds) == (1.7e308, 1)
        assert "total" in t.dead_letters[0].reason


def test_a_fold_of_a_lane_steps_at_the_write() -> None:
    with app.test() as t:
        thing(t).write(4.0)
        assert thing(t).seen == (4.0, 4.0, 1.0)
        thing(t).write(0.0)
        assert thing(t).seen == (2.0, 4.0, 2.0)


def test_equal_writes_step_folds_and_call_no_handler() -> None:
    with app.test() as t:
        for _ in range(3):
            thing(t).write(20.0)
        assert (thing(t).writes, thing(t).switched) == (3, 1)


def test_a_refused_turn_steps_nothing() -> None:
    with app.test() as t:
        thing(t).write(4.0)
        before = t.shard.dump()
        thing(t).no(100.0)
        assert t.shard.dump() == before
        assert t.rejected == ["/thing/1: no"]


@pytest.mark.parametrize(
    ("values", "over", "under", "plain"),
    [
        ((10.0,), False, False, False),
        ((10.1,), True, False, True),
        ((11.0, 9.0), True, False, False),
        ((11.0, 8.0), False, False, False),
        ((11.0, 10.0), True, False, False),
        ((3.0,), False, False, False),
        ((2.9,), False, True, False),
        ((2.0, 4.9), False, True, False),
        ((2.0, 5.0), False, False, False),
    ],
)
def test_thresholds_clear_where_they_say(values: tuple[float, ...], over: bool, under: bool, plain: bool) -> None:
    with app.test() as t:
        for value in values:
            thing(t).write(value)
        assert (thing(t).over, thing(t).under, thing(t).plain) == (over, under, plain)


def test_a_limit_may_be_a_lane_which_switches_when_it_changes() -> None:
    with app.test() as t:
        thing(t).write(12.0)
        assert thing(t).moving
        thing(t).set_limit(15.0)
        thing(t).write(12.0)
        assert not thing(t).moving
        thing(t).set_limit(11.0)
        thing(t).write(12.0)
        assert thing(t).moving


def test_a_hold_must_last() -> None:
    with app.test() as t:
        thing(t).write(11.0)
        t.advance("29 s")
        assert not thing(t).held
        thing(t).write(12.0)
        t.advance("1 s")
        assert thing(t).held
        thing(t).write(10.0)
        assert not thing(t).held


def test_a_hold_starts_again_when_the_condition_breaks() -> None:
    with app.test() as t:
        thing(t).write(11.0)
        t.advance("20 s")
        thing(t).write(9.0)
        thing(t).write(11.0)
        t.advance("29 s")
        assert not thing(t).held
        t.advance("1 s")
        assert thing(t).held


def test_folds_are_not_assigned() -> None:
    with app.test(strict=False) as t:
        thing(t).assign()
        assert isinstance(t.errors[0], (AttributeError, WrongType))
        assert "Ewma" in str(t.errors[0])
    with app.test() as t:
        with pytest.raises((AttributeError, WrongType)):
            thing(t).smooth = 1.0
        t.post("/thing/1", "smooth", 1.0)
        assert t.rejected[-1:] == ["/thing/1: lane `smooth` of Thing is read-only"]


@pytest.mark.parametrize("seconds", [30, 15, 0, 3_600])
def test_a_half_life_weighs_by_time(seconds: int) -> None:
    app = App("decay")

    @app.twin("/one")
    class One(Twin):
        put = Command(float)
        smooth = Ewma(put.body, half_life="30 s")

    with app.test() as t:
        t.at(One).put(0.0)
        t.advance(seconds)
        t.at(One).put(8.0)
        assert t.at(One).smooth == pytest.approx(8.0 * (1 - 0.5 ** (seconds / 30)))
