"""Bodies of commands: what the core decodes by itself, and what msgspec validates from a tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict
from zoneinfo import ZoneInfo

import msgspec
import pytest

from shoal import App, Command, Count, Latest, Point, Twin, Value
from shoal.bodies import plan, shape_of


class Fix(msgspec.Struct):
    id: str
    speed: float
    level: Literal[1, 2] = 1
    time: datetime | None = None


class KeywordOnly(msgspec.Struct, kw_only=True):
    a: int
    b: int = 0


@dataclass
class Reading:
    a: int
    b: list[int] | None = None


@dataclass
class PlainReading:
    a: int
    b: float = 0.0


@dataclass
class Made:
    a: int
    b: int = field(init=False, default=3)


class Row(TypedDict):
    a: int
    b: NotRequired[str]


class Pair(NamedTuple):
    a: int
    b: float


class Renamed(msgspec.Struct, rename="camel"):
    first_name: str


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    a: int


class Tagged(msgspec.Struct, tag=True):
    a: int


class Listed(msgspec.Struct, array_like=True):
    a: int


class Checked(msgspec.Struct):
    a: int

    def __post_init__(self) -> None:
        if self.a < 0:
            raise ValueError("a is negative")


class Bounded(msgspec.Struct):
    a: Annotated[int, msgspec.Meta(ge=0)]


class Inner(msgspec.Struct, frozen=True):
    x: float
    name: str | None = None


class Outer(msgspec.Struct):
    id: str
    inner: Inner
    maybe: Inner | None = None
    at: datetime | None = None
    choice: int | str = 0
    where: tuple[float, float] = (0.0, 0.0)


KINDS: list[tuple[Any, str]] = [
    (str, "scalar"),
    (float | None, "scalar"),
    (datetime, "scalar"),
    (Literal["a", "b"], "scalar"),
    (Literal["a", 1], "tree"),
    (Annotated[int, msgspec.Meta(ge=0)], "tree"),
    (bytes, "tree"),
    (list[float], "tree"),
    (dict[str, Any], "tree"),
    (Any, "tree"),
    (Point, "tree"),
    (Fix, "record"),
    (KeywordOnly, "record"),
    (PlainReading, "record"),
    (Row, "record"),
    (Reading, "tree"),
    (Made, "tree"),
    (Pair, "tree"),
    (Renamed, "record"),
    (Strict, "tree"),
    (Tagged, "tree"),
    (Listed, "tree"),
    (Checked, "tree"),
    (Bounded, "tree"),
    (Outer, "tree"),
    (Fix | None, "tree"),
    (msgspec.defstruct("Wide", [(f"f{i}", int) for i in range(64)]), "record"),
    (msgspec.defstruct("Wider", [(f"f{i}", int) for i in range(65)]), "tree"),
]


@pytest.mark.parametrize(("declared", "kind"), KINDS, ids=lambda each: getattr(each, "__name__", str(each)))
def test_how_a_type_is_decoded(declared: Any, kind: str) -> None:
    assert shape_of(declared).kind == kind


def test_the_fields_of_a_record() -> None:
    made = plan(shape_of(Fix), [("speed",)], "time")
    assert msgspec.to_builtins(made.declared) == {
        "record": {
            "fields": [
                {"name": "id", "kind": "text", "nullable": False, "required": True},
                {"name": "speed", "kind": "float", "nullable": False, "required": True},
                {"name": "level", "kind": {"int_choice": [1, 2]}, "nullable": False, "required": False},
                {"name": "time", "kind": "time", "nullable": True, "required": False},
            ]
        }
    }
    assert (made.slots[("speed",)], made.time_slot) == (1, 3)


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        (str, ("scalar",)),
        (Fix, ("call", Fix, ("id", "speed", "level", "time"), True)),
        (KeywordOnly, ("call", KeywordOnly, ("a", "b"), False)),
        (PlainReading, ("call", PlainReading, ("a", "b"), True)),
        (Row, ("dict", ("a", "b"))),
    ],
)
def test_codecs(declared: Any, codec: tuple[Any, ...]) -> None:
    assert plan(shape_of(declared), [], "").codec(UTC) == codec


class TestTree:
    def admit(self, declared: Any, *paths: tuple[str, ...], time: str = "", zone: Any = UTC) -> Callable[..., Any]:
        made = plan(shape_of(declared), paths, time)
        assert made.declared == {"tree": {"slots": len(made.slots)}}
        admit: Callable[..., Any] = made.codec(zone)[1]
        return admit

    def test_slots_are_paths(self) -> None:
        admit = self.admit(Outer, ("id",), ("inner", "x"), ("maybe", "name"), ("inner",), ("where",))
        body, slots = admit({"id": "7", "inner": {"x": 2}, "where": [1, 2]}, False)
        assert body == Outer("7", Inner(2.0), where=(1.0, 2.0))
        assert slots == ["7", 2.0, None, {"x": 2.0, "name": None}, (1.0, 2.0)]

    def test_msgspec_s_words(self) -> None:
        admit = self.admit(Outer)
        with pytest.raises(msgspec.ValidationError, match=r"Expected `float`, got `str` - at `\$\.inner\.x`"):
            admit({"id": "7", "inner": {"x": "2"}}, False)
        with pytest.raises(msgspec.ValidationError, match="a is negative"):
            self.admit(Checked)({"a": -1}, False)

    def test_lax_takes_texts_for_numbers(self) -> None:
        assert self.admit(Bounded, ("a",))({"a": "3"}, True)[1] == [3]

    def test_whole_floats_are_taken_for_int(self) -> None:
        assert self.admit(Bounded, ("a",))({"a": 3.0}, False)[1] == [3]
        with pytest.raises(msgspec.ValidationError, match="Expected `int`, got `float`"):
            self.admit(Bounded)({"a": 3.5}, False)
        assert self.admit(Outer)({"id": "1", "inner": {"x": 1.0}, "choice": 3.0}, False)[0].choice == 3

    @pytest.mark.parametrize(
        "written",
        [1751371200, 1751371200.0, 1751371200000, 1751371200000000, "2025-07-01T12:00:00Z", "2025-07-01T14:00:00"],
    )
    def test_the_time_is_a_number_or_a_text(self, written: Any) -> None:
        zone = ZoneInfo("Europe/Berlin")
        body, slots = self.admit(Outer, time="at", zone=zone)({"id": "1", "inner": {"x": 1}, "at": written}, False)
        assert slots == [datetime(2025, 7, 1, 12, tzinfo=UTC)]
        assert body.at == slots[0]

    def test_a_number_may_be_the_time(self) -> None:
        class Event(msgspec.Struct):
            t: float
            inner: Inner

        _, slots = self.admit(Event, ("inner", "x"), time="t")({"t": 1.5, "inner": {"x": 2}}, False)
        assert slots == [2.0, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=1.5)]

    def test_back_to_builtins(self) -> None:
        encode = plan(shape_of(Outer), [], "").codec(UTC)[2]
        now = datetime(2026, 1, 1, tzinfo=UTC)
        assert encode(Outer("7", Inner(1.0), at=now)) == {
            "id": "7",
            "inner": {"x": 1.0, "name": None},
            "maybe": None,
            "at": now,
            "choice": 0,
            "where": (0.0, 0.0),
        }


class TestRuns:
    def test_trees_fold_and_reach_their_handlers(self) -> None:
        app = App("x")

        @app.twin("/a/{id}")
        class A(Twin):
            report = Command(Outer)
            x = Latest(report.body.inner.x)
            inner = Latest(report.body.inner)
            name = Latest(report.body.maybe.name if report.body.maybe is not None else None)
            named = Count(report)
            place = Latest(report.body.where)
            seen = Value(str, "")

            @report.handler
            def on_report(self, body: Outer) -> None:
                assert isinstance(body, Outer)
                self.seen = f"{body.id}{body.choice}"

        with app.test() as t:
            t.at(A, "7").report(Outer("7", Inner(1.5), choice="x"))
            t.post(
                "/a/7",
                "report",
                {"id": "8", "inner": {"x": 2, "name": "n"}, "maybe": {"x": 0, "name": "m"}, "where": [3, 4]},
            )
            t.post("/a/7", "report", {"id": "8", "inner": {"x": "2"}})
            a = t.at(A, "7")
            assert (a.x, a.inner, a.name, a.named, a.place, a.seen) == (2.0, Inner(2.0, "n"), "m", 2, (3.0, 4.0), "80")
            assert "Expected `float`, got `str` - at `$.inner.x`" in t.rejected[0]

    def test_records_of_every_kind(self) -> None:
        app = App("x")

        @app.twin("/a/{id}")
        class A(Twin):
            struct = Command(Fix)
            keyword = Command(KeywordOnly)
            dataclass = Command(PlainReading)
            row = Command(Row)
            pair = Command(Pair)
            got = Value(str, "")

            @struct.handler
            def on_struct(self, body: Fix) -> None:
                self.got = repr(body)

            @keyword.handler
            def on_keyword(self, body: KeywordOnly) -> None:
                self.got = repr(body)

            @dataclass.handler
            def on_dataclass(self, body: PlainReading) -> None:
                self.got = repr(body)

            @row.handler
            def on_row(self, body: Row) -> None:
                self.got = repr(body)

            @pair.handler
            def on_pair(self, body: Pair) -> None:
                self.got = repr(body)

        bodies: list[tuple[str, Any]] = [
            ("struct", Fix("7", 1.5, 2)),
            ("keyword", KeywordOnly(a=1)),
            ("dataclass", PlainReading(1)),
            ("row", {"a": 1}),
            ("pair", Pair(1, 2.0)),
        ]
        with app.test() as t:
            for lane, body in bodies:
                getattr(t.at(A, 1), lane)(body)
                assert t.at(A, 1).got == repr(body)
                t.post("/a/1", lane, msgspec.to_builtins(body))
                assert t.at(A, 1).got == repr(body)
