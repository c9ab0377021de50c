"""Types of lanes: which column each gets, what goes in and comes out again, and what does not bend."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import msgspec
import pytest

from shoal import App, Command, DeclarationError, Map, Point, Twin, Value, WrongType
from shoal.declaration import Declaration
from shoal.duration import microseconds
from shoal.types import form_of


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


class Stop(msgspec.Struct, frozen=True):
    id: int
    lines: tuple[int, ...] = ()


@dataclass(frozen=True)
class Visit:
    hours: float
    stop: Stop


class Row(NamedTuple):
    a: int
    b: str


NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)

COLUMNS: list[tuple[Any, str, bool]] = [
    (bool, "bool", False),
    (int, "int64", False),
    (float, "float64", False),
    (str, "string", False),
    (bytes, "bytes", False),
    (datetime, "timestamp", False),
    (Point, "point", False),
    (float | None, "float64", True),
    (Point | None, "point", True),
    (Literal["a", "b"], "string", False),
    (Literal["a", None], "string", True),
    (Literal[1, 2] | None, "int64", True),
    (Literal["a", 1], "value", False),
    (Annotated[int, msgspec.Meta(ge=0)], "int64", False),
    (int | str, "value", False),
    (Color, "value", False),
    (Stop | None, "value", True),
    (Visit, "value", False),
    (Row, "value", False),
    (tuple[int, ...], "value", False),
    (Any, "value", True),
    (frozenset[str], "value", False),
    (date, "value", False),
    (timedelta, "value", False),
    (Decimal, "value", False),
    (UUID, "value", False),
]


@pytest.mark.parametrize(("declared", "column", "nullable"), COLUMNS, ids=str)
def test_the_column_of_a_type(declared: Any, column: str, nullable: bool) -> None:
    form = form_of(declared)
    assert (form.column, form.nullable) == (column, nullable)
    assert (form.required().column, form.required().nullable) == (column, False)


app = App("types")


@app.twin("/box/{id}")
class Box(Twin):
    write = Command()
    boolean = Value(bool, True)
    whole = Value(int, 3)
    number = Value(float, 3)
    text = Value(str, "ä")
    raw = Value(bytes, b"\x00\xff")
    time = Value(datetime, NOON)
    point = Value(Point, Point(1.5, 2.5))
    optional = Value(float | None, None)
    choice = Value(Literal["a", "b"], "a")
    level = Value(Literal[1, 2], 2)
    mixed = Value(Literal["a", 1], 1)
    counted = Value(Annotated[int, msgspec.Meta(ge=0)], 5)
    union = Value(int | str, "x")
    color = Value(Color, Color.RED)
    stop = Value(Stop, Stop(1, (2, 3)))
    visit = Value(Visit, Visit(1.5, Stop(3)))
    row = Value(Row, Row(1, "x"))
    stops = Value(tuple[Stop, ...] | None, (Stop(1), Stop(2)))
    names = Value(frozenset[str], frozenset({"a", "b"}))
    day = Value(date, date(2026, 7, 1))
    span = Value(timedelta, timedelta(seconds=5, microseconds=7))
    price = Value(Decimal, Decimal("1.50"))
    key = Value(UUID, UUID(int=5))
    log_of = Value(tuple[datetime, bytes], (NOON, b"\x01"))
    by_color = Map(Color, Stop)
    by_pair = Map(tuple[int, int], float | None)
    by_day = Map(date, int, 0)

    @write.handler
    def on_write(self) -> None:
        for name in LANES:
            setattr(self, name, getattr(self, name))
        self.by_color[Color.BLUE] = Stop(7)
        self.by_pair[3, 4] = None
        self.by_pair[1, 2] = 1.5
        self.by_day[date(2026, 7, 1)] += 1
        assert list(self.by_color.items()) == [(Color.BLUE, Stop(7))]
        assert list(self.by_pair.items()) == [((3, 4), None), ((1, 2), 1.5)]
        assert self.by_day[date(2026, 7, 2)] == 0


LANES = [name for name, lane in Box.__shoal__.lanes.items() if isinstance(lane, Value)]


def test_every_default_is_read_back_and_written_again() -> None:
    with app.test() as t:
        t.at(Box, 1).write()
        for name in LANES:
            default = getattr(Box, name).default
            found = getattr(t.at(Box, 1), name)
            assert found == default
            assert type(found) is type(default) or name == "number"
        assert dict(t.at(Box, 1).by_day) == {date(2026, 7, 1): 1}


ANY = App("any")


@ANY.twin("/box/{id}")
class Anything(Twin):
    put = Command(Any)
    add = Command(Any)
    given = Value(Any)
    copy = Value(Any)
    first = Value(Any, {"a": [1]})
    entries = Map(str, Any)
    whole = Map(str, int)
    optional = Map(str, int | None)

    @put.handler
    def on_put(self, body: Any) -> None:
        self.given = body
        self.copy = self.given
        self.entries["last"] = self.given

    @add.handler
    def on_add(self, name: Any) -> None:
        nothing: Any = None
        getattr(self, name)["x"] = nothing

    @given.changed
    def on_given(self, new: Any, old: Any) -> None:
        assert new == self.given


@pytest.mark.parametrize(
    "value", [None, 5, -0.5, "x", True, b"\x01", NOON, (), (1, ("a",)), {}, {"@a": None, "b": ({"c": 1}, 2)}], ids=str
)
def test_a_lane_of_any_type_keeps_what_it_is_given_and_hands_out_what_nobody_can_change(value: Any) -> None:
    with ANY.test() as t:
        t.at(Anything, 1).put(value)
        box = t.at(Anything, 1)
        assert box.first == {"a": (1,)}
        assert box.given == box.copy == box.entries["last"]
        assert box.given == value
        if isinstance(value, dict):
            with pytest.raises(TypeError):
                box.given["@a"] = 1


def a_ring() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (a_ring(), "nested more than 512 levels"),
        ({"a": [float("nan")]}, "no NaN"),
        (object(), "no value of a lane"),
        ({"a": 2**63}, "beyond int64"),
    ],
)
def test_what_no_value_is_does_not_fit_a_lane_of_any_type(value: Any, reason: str) -> None:
    app = App("any")

    class Copy(Anything):
        go = Command()

        @go.handler
        def on_go(self) -> None:
            self.given = value

    app.twin("/copy/{id}")(Copy)
    with app.test(strict=False) as t:
        t.at(Copy, 1).go()
        assert reason in str(t.errors[0])


@pytest.mark.parametrize(("name", "taken"), [("whole", False), ("optional", True), ("entries", True)])
def test_none_is_an_entry_only_where_the_type_allows_it(name: str, taken: bool) -> None:
    with ANY.test(strict=False) as t:
        t.at(Anything, 1).add(name)
        assert dict(getattr(t.at(Anything, 1), name)) == ({"x": None} if taken else {})
        assert bool(t.errors) is not taken


REFUSED: list[tuple[str, Any]] = [
    ("boolean", 1),
    ("whole", True),
    ("whole", 3.5),
    ("whole", 2**63),
    ("whole", "3"),
    ("number", True),
    ("number", float("nan")),
    ("number", float("inf")),
    ("number", None),
    ("text", b"x"),
    ("raw", "x"),
    ("time", datetime(2026, 1, 1)),
    ("optional", "x"),
    ("choice", "c"),
    ("level", 3),
    ("level", True),
    ("counted", -1),
    ("union", 2.5),
    ("color", "r"),
    ("stop", Stop("x")),  # type: ignore[arg-type]
    ("stop", {"id": 1}),
    ("visit", Visit(float("inf"), Stop(1))),
    ("stops", [Stop(1)]),
    ("names", {"a"}),
    ("price", 1.5),
]


@pytest.mark.parametrize(("lane", "value"), REFUSED, ids=str)
def test_types_do_not_bend(lane: str, value: Any) -> None:
    app = App("types")

    class Copy(Box):
        bend = Command()

        @bend.handler
        def on_bend(self) -> None:
            with pytest.raises(WrongType, match=lane):
                setattr(self, lane, value)

    app.twin("/box/{id}", Copy)
    with app.test() as t:
        t.at(Copy, 1).bend()
        assert getattr(t.at(Copy, 1), lane) == getattr(Box, lane).default


def test_numbers_that_fit_are_taken() -> None:
    app = App("types")

    class Copy(Box):
        fit = Command()

        @fit.handler
        def on_fit(self) -> None:
            self.whole = 4.0  # type: ignore[assignment]
            self.number = 4
            self.counted = 4.0  # type: ignore[assignment]
            assert type(self.whole) is int
            assert type(self.number) is float
            assert type(self.counted) is int

    app.twin("/box/{id}", Copy)
    with app.test() as t:
        t.at(Copy, 1).fit()


def test_defaults_are_data() -> None:
    columns = {
        column.name: column
        for column in msgspec.json.decode(app.declaration()[0], type=Declaration).populations[0].columns
    }
    assert columns["time"].default == "2026-07-01T12:00:00Z"
    assert columns["point"].default == [1.5, 2.5]
    assert columns["number"].default == 3.0
    assert columns["stop"].default == {"id": 1, "lines": [2, 3]}
    assert columns["optional"].default is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (90, 90_000_000),
        (0.25, 250_000),
        (timedelta(minutes=1.5), 90_000_000),
        ("90 s", 90_000_000),
        ("500 ms", 500_000),
        ("15 min", 900_000_000),
        ("1.5 h", 5_400_000_000),
        ("1d", 86_400_000_000),
        (0, 0),
    ],
)
def test_spans_of_time(written: Any, expected: int) -> None:
    assert microseconds(written) == expected


@pytest.mark.parametrize(
    "written", ["", "1", "1 m", "-1 s", "1 s 5 ms", -1, True, float("nan"), float("inf"), None, 1e300]
)
def test_what_is_no_span_of_time(written: Any) -> None:
    with pytest.raises(WrongType, match="write seconds as a number"):
        microseconds(written)


def test_a_struct_with_a_type_that_is_not_there() -> None:
    class Broken(msgspec.Struct, frozen=True):
        other: Missing  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(DeclarationError, match=r"Bus\.broken: .*Missing"):

        class Bus(Twin):
            broken = Value(Broken)
