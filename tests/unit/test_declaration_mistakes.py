"""Mistakes in a class or an app are found when it is declared, with the place, the lane's name and a way out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypedDict

import msgspec
import pytest

from shoal import (
    Above,
    Alarm,
    App,
    Below,
    Command,
    Count,
    DeclarationError,
    Ewma,
    Latest,
    Local,
    Map,
    Max,
    Mean,
    Members,
    Point,
    Sum,
    Twin,
    Value,
    every,
)


class Place(msgspec.Struct, frozen=True):
    lat: float
    lon: float


class Fix(msgspec.Struct):
    id: str
    speed: float
    moving: bool = True
    stop: str | None = None
    tags: list[str] = []
    handler: str = ""


class Unfrozen(msgspec.Struct):
    tags: int


class Holder(msgspec.Struct, frozen=True):
    inner: Unfrozen


@dataclass
class Loose:
    a: int


class Loosest(TypedDict):
    a: int


class Row(NamedTuple):
    cells: list[int]


class Model:
    pass


def a_lane_declared_twice() -> None:
    class Bus(Twin):
        speed = Value(float)
        speed = Value(int)  # noqa: PIE794


def a_lane_and_a_method() -> None:
    class Bus(Twin):
        speed = Value(float)

        def speed(self) -> None: ...  # type: ignore[no-redef]  # noqa: F811


def a_method_and_a_lane() -> None:
    class Bus(Twin):
        def speed(self) -> None: ...

        speed = Value(float)  # type: ignore[assignment]  # noqa: F811


def a_changed_handler_by_the_lane_s_name() -> None:
    class Bus(Twin):
        speed = Value(float)

        @speed.changed  # type: ignore[no-redef]
        def speed(self, new: float) -> None: ...


def a_handler_defined_twice() -> None:
    class Bus(Twin):
        go = Command()
        halt = Command()

        @go.handler
        def on(self) -> None: ...

        @halt.handler  # type: ignore[no-redef]
        def on(self) -> None: ...  # noqa: F811


def two_handlers_of_a_command() -> None:
    class Bus(Twin):
        go = Command()

        @go.handler
        def one(self) -> None: ...

        @go.handler
        def two(self) -> None: ...


def a_lane_with_two_names() -> None:
    class Bus(Twin):
        speed = pace = Value(float)


def two_lanes_of_one_wire_name() -> None:
    class Bus(Twin):
        speed = Value(float)
        pace = Value(float, name="speed")


def a_reserved_name() -> None:
    class Bus(Twin):
        now = Value(float)  # type: ignore[assignment]


def a_reserved_method() -> None:
    class Bus(Twin):
        def at(self) -> None: ...  # type: ignore[override]


def a_hook_that_is_a_lane() -> None:
    class Bus(Twin):
        on_create = Command()


def a_name_of_the_handle() -> None:
    class Bus(Twin):
        _send = Value(float)  # type: ignore[assignment]


def a_list() -> None:
    class Bus(Twin):
        stops = Value(list[str])


def a_dict() -> None:
    class Bus(Twin):
        stops = Value(dict[str, int])


def a_set() -> None:
    class Bus(Twin):
        stops = Value(set[str])


def a_list_in_a_tuple() -> None:
    class Bus(Twin):
        stops = Value(tuple[list[str], ...])


def an_optional_list() -> None:
    class Bus(Twin):
        stops = Value(list[str] | None, None)


def an_unfrozen_struct() -> None:
    class Bus(Twin):
        fix = Value(Unfrozen)


def an_unfrozen_struct_in_a_frozen_one() -> None:
    class Bus(Twin):
        fix = Value(Holder)


def an_unfrozen_dataclass() -> None:
    class Bus(Twin):
        fix = Value(Loose)


def a_typed_dict() -> None:
    class Bus(Twin):
        fix = Value(Loosest)


def a_list_in_a_named_tuple() -> None:
    class Bus(Twin):
        row = Value(Row)


def a_list_in_a_map() -> None:
    class Bus(Twin):
        stops = Map(str, list[str])


def a_list_kept_by_a_fold() -> None:
    class Bus(Twin):
        report = Command(Fix)
        tags = Latest(report.body.tags)


def an_object() -> None:
    class Bus(Twin):
        model = Value(Model)


def anything_in_a_tuple() -> None:
    class Bus(Twin):
        anything = Value(tuple[Any, ...])


def anything_as_a_key() -> None:
    class Bus(Twin):
        anything = Map(Any, int)


def a_type_as_text() -> None:
    class Bus(Twin):
        speed: Any = Value("float")


def a_type_with_a_forward_reference() -> None:
    class Bus(Twin):
        stops = Value(tuple["Fix", ...])


def a_boolean_literal() -> None:
    class Bus(Twin):
        on = Value(Literal[True])


def only_none() -> None:
    class Bus(Twin):
        nothing = Value(None)


def a_map_with_an_optional_key() -> None:
    class Bus(Twin):
        stops = Map(str | None, int)


def a_default_of_another_type() -> None:
    class Bus(Twin):
        speed: Any = Value(float, "x")


def a_default_none() -> None:
    class Bus(Twin):
        speed: Any = Value(float, None)


def a_truth_for_a_number() -> None:
    class Bus(Twin):
        count = Value(int, True)


def a_number_for_a_truth() -> None:
    class Bus(Twin):
        on: Any = Value(bool, 1)


def a_default_beyond_int64() -> None:
    class Bus(Twin):
        count = Value(int, 2**63)


def a_default_that_is_no_number() -> None:
    class Bus(Twin):
        speed = Value(float, float("nan"))


def a_default_that_is_no_choice() -> None:
    class Bus(Twin):
        move: Any = Value(Literal["a", "b"], "c")


def a_default_without_a_zone() -> None:
    class Bus(Twin):
        seen = Value(datetime, datetime(2026, 1, 1))


def a_default_of_a_map_of_another_type() -> None:
    class Bus(Twin):
        stops: Any = Map(str, int, "0")


def a_default_of_a_fold_of_another_type() -> None:
    class Bus(Twin):
        report = Command(Fix)
        speed: Any = Latest(report.body.speed, "fast")


def a_typo_in_a_field() -> None:
    class Bus(Twin):
        report = Command(Fix)
        speed = Latest(report.body.speeed)  # type: ignore[attr-defined]


def a_field_of_a_field() -> None:
    class Bus(Twin):
        report = Command(Fix)
        speed = Latest(report.body.speed.real)


def a_field_of_nothing() -> None:
    class Bus(Twin):
        report = Command()
        speed: Any = Latest(report.body.speed)  # type: ignore[attr-defined]


def arithmetic_with_a_field() -> None:
    class Bus(Twin):
        report = Command(Fix)
        speed = Latest(report.body.speed * 3.6)


def a_condition_on_a_field() -> None:
    class Bus(Twin):
        report = Command(Fix)
        speed = Latest(1.0 if report.body.moving else 2.0)


def a_point_of_numbers_and_fields() -> None:
    class Bus(Twin):
        report = Command(Fix)
        position = Latest(Point(report.body.speed, 0.0))


def a_point_of_texts() -> None:
    class Bus(Twin):
        report = Command(Fix)
        position: Any = Latest(Point(report.body.id, report.body.id))  # type: ignore[arg-type]


def a_fold_of_a_constant() -> None:
    class Bus(Twin):
        top = Max(3.0)


def a_fold_of_nothing() -> None:
    class Bus(Twin):
        top = Mean(None)


def a_fold_of_text() -> None:
    class Bus(Twin):
        report = Command(Fix)
        top: Any = Sum(report.body.id)  # type: ignore[call-overload]


def a_fold_of_a_truth() -> None:
    class Bus(Twin):
        report = Command(Fix)
        moved = Sum(report.body.moving)


def a_fold_of_a_command() -> None:
    class Bus(Twin):
        report = Command(Fix)
        top: Any = Max(report)  # type: ignore[call-overload]


def a_fold_of_a_fold_without_a_name() -> None:
    class Bus(Twin):
        report = Command(Fix)
        smooth = Ewma(Max(report.body.speed), alpha=0.1)


def a_fold_of_another_class() -> None:
    class Bus(Twin):
        speed = Value(float)

    class City(Twin):
        smooth = Mean(Bus.speed)


def a_roll_up_of_the_wrong_class() -> None:
    class Bus(Twin):
        speed = Value(float)

    class Tram(Twin):
        speeds = Value(float)

    class City(Twin):
        buses = Members(Bus)
        speed = Mean(Tram.speeds, over=buses)


def a_roll_up_of_text() -> None:
    class Bus(Twin):
        name = Value(str)

    class City(Twin):
        buses = Members(Bus)
        names: Any = Sum(Bus.name, over=buses)  # type: ignore[arg-type]


def a_count_of_members_by_a_number() -> None:
    class Bus(Twin):
        speed = Value(float)

    class City(Twin):
        buses = Members(Bus)
        fast = Count(Bus.speed, over=buses)


def a_roll_up_over_a_lane() -> None:
    class City(Twin):
        speed = Value(float)
        fast: Any = Count(over=speed)  # type: ignore[arg-type]


def a_count_of_nothing() -> None:
    class Bus(Twin):
        count = Count()


def members_of_no_twins() -> None:
    class City(Twin):
        models: Any = Members(Model)


def members_by_a_number() -> None:
    class Bus(Twin):
        route = Value(int)

    class Route(Twin):
        buses: Any = Members(Bus, by=Bus.route)  # type: ignore[arg-type]


def members_by_a_lane_of_another_class() -> None:
    class Tram(Twin):
        route = Value(str)

    class Bus(Twin):
        rout = Value(str)

    class Route(Twin):
        buses = Members(Bus, by=Tram.route)


def alpha_and_half_life() -> None:
    class Bus(Twin):
        speed = Value(float)
        smooth: Any = Ewma(speed, alpha=0.1, half_life="1 s")  # type: ignore[call-overload]


def alpha_above_one() -> None:
    class Bus(Twin):
        speed = Value(float)
        smooth = Ewma(speed, alpha=1.5)


def no_half_life() -> None:
    class Bus(Twin):
        speed = Value(float)
        smooth = Ewma(speed, half_life="30 sek")


def a_clear_above_the_limit() -> None:
    class Bus(Twin):
        speed = Value(float)
        fast = Above(speed, 25.0, clear=26.0)


def a_clear_below_the_limit() -> None:
    class Bus(Twin):
        speed = Value(float)
        slow = Below(speed, 25.0, clear=24.0)


def a_limit_that_is_a_field() -> None:
    class Bus(Twin):
        report = Command(Fix)
        fast = Above(report.body.speed, report.body.speed)


def a_limit_that_is_text() -> None:
    class Bus(Twin):
        speed = Value(float)
        name = Value(str)
        fast: Any = Above(speed, name)  # type: ignore[arg-type]


def a_negative_hold() -> None:
    class Bus(Twin):
        speed = Value(float)
        fast = Above(speed, 1.0, hold=-1)


def a_cycle() -> None:
    class Bus(Twin):
        report = Command(Fix)
        speed = Latest(report.body.speed)
        top = Max(speed)

    class Tram(Bus):
        speed = Latest(Bus.top)


def a_field_that_the_new_body_has_not() -> None:
    class Bus(Twin):
        report = Command(Fix)
        speed = Latest(report.body.speed)

    class Tram(Bus):
        report = Command(Place)  # type: ignore[assignment]


def a_time_that_is_no_field() -> None:
    class Bus(Twin):
        report = Command(Fix, time="t")


def a_time_that_is_no_time() -> None:
    class Bus(Twin):
        report = Command(Fix, time="id")


def a_body_that_is_no_data() -> None:
    class Bus(Twin):
        report = Command(Model)


def a_severity() -> None:
    class Bus(Twin):
        jam: Any = Alarm(severity="bad")  # type: ignore[arg-type]


def a_local_that_is_no_function() -> None:
    class Bus(Twin):
        model: Any = Local({})  # type: ignore[arg-type]


def a_save_that_is_none() -> None:
    class Bus(Twin):
        speed = Value(float, save="always")  # type: ignore[call-overload]


def a_limit_of_no_entries() -> None:
    class Bus(Twin):
        stops = Map(str, int, limit=0)


def a_handler_without_the_body() -> None:
    class Bus(Twin):
        report = Command(Fix)

        @report.handler  # type: ignore[arg-type]
        def on_report(self) -> None: ...


def a_handler_with_a_body_too_many() -> None:
    class Bus(Twin):
        go = Command()

        @go.handler  # type: ignore[arg-type]
        def on_go(self, body: str) -> None: ...


def a_changed_handler_without_the_value() -> None:
    class Bus(Twin):
        speed = Value(float)

        @speed.changed  # type: ignore[arg-type]
        def on_speed(self) -> None: ...


def a_changed_handler_of_a_map_without_the_key() -> None:
    class Bus(Twin):
        stops = Map(str, int)

        @stops.changed  # type: ignore[arg-type]
        def on_stops(self, new: int, old: int) -> None: ...


def an_async_changed_handler() -> None:
    class Bus(Twin):
        speed = Value(float)

        @speed.changed  # type: ignore[arg-type]
        async def on_speed(self, new: float) -> None: ...


def an_async_hook() -> None:
    class Bus(Twin):
        async def on_start(self) -> None: ...  # type: ignore[override]


def a_hook_with_an_argument() -> None:
    class Bus(Twin):
        def on_create(self, first: bool) -> None: ...  # type: ignore[override]


def a_handler_that_is_no_method() -> None:
    class Bus(Twin):
        go = Command()

        @go.handler  # type: ignore[arg-type]
        @staticmethod
        def on_go() -> None: ...


def a_timer_with_an_argument() -> None:
    class Bus(Twin):
        @every("1 s")  # type: ignore[arg-type]
        def tick(self, n: int) -> None: ...


def a_period_of_nothing() -> None:
    class Bus(Twin):
        @every(0)
        def tick(self) -> None: ...


def a_period_in_weeks() -> None:
    class Bus(Twin):
        @every("2 weeks")
        def tick(self) -> None: ...


def an_init() -> None:
    class Bus(Twin):
        def __init__(self) -> None: ...


def slots() -> None:
    class Bus(Twin):
        __slots__ = ("cache",)


def a_base_with_a_dict() -> None:
    class Bus(Model, Twin):
        pass


def lanes_in_a_plain_class() -> None:
    class Moving:
        __slots__ = ()
        speed = Value(float)

    class Bus(Moving, Twin):
        pass


def a_lane_replaced_by_a_method() -> None:
    class Bus(Twin):
        speed = Value(float)

    class Tram(Bus):
        def speed(self) -> None: ...  # type: ignore[override]


MISTAKES: list[tuple[Callable[[], None], str]] = [
    (a_lane_declared_twice, r"Bus\.speed: the lane is declared twice, first in line \d+; give one"),
    (a_lane_and_a_method, r"Bus\.speed: a value and a function have the same name"),
    (a_method_and_a_lane, r"Bus\.speed: a value and a function have the same name"),
    (a_changed_handler_by_the_lane_s_name, r"Bus\.speed: a value and a function have the same name"),
    (a_handler_defined_twice, r"Bus\.on: this method is defined twice"),
    (two_handlers_of_a_command, r"Bus\.two: go has its @handler already: one"),
    (a_lane_with_two_names, r"Bus\.speed: the same lane has a second name, pace"),
    (two_lanes_of_one_wire_name, r"Bus\.pace: its name on the wire, 'speed', is that of speed"),
    (a_reserved_name, r'Bus\.now: the name is reserved.*`now_`, and name="now"'),
    (a_reserved_method, r"Bus\.at: the name is reserved"),
    (a_hook_that_is_a_lane, r"Bus\.on_create: the name is reserved.*def on_create\(self\)"),
    (a_name_of_the_handle, r"Bus\._send: the name is Shoal's own"),
    (a_list, r"Bus\.stops: list\[str\] is mutable.*use tuple\[str, \.\.\.\]"),
    (a_dict, r"Bus\.stops: dict\[str, int\] is mutable.*a Map lane, or a frozen Struct"),
    (a_set, r"Bus\.stops: set\[str\] is mutable.*use frozenset\[str\]"),
    (a_list_in_a_tuple, r"Bus\.stops: tuple\[list\[str\], \.\.\.\] is mutable: a list could change"),
    (an_optional_list, r"Bus\.stops: list\[str\] \| None is mutable"),
    (an_unfrozen_struct, r"Bus\.fix: Unfrozen is mutable.*class Unfrozen\(msgspec\.Struct, frozen=True\)"),
    (an_unfrozen_struct_in_a_frozen_one, r"Bus\.fix: Holder is mutable: Struct Unfrozen could change"),
    (an_unfrozen_dataclass, r"Bus\.fix: Loose is mutable.*@dataclass\(frozen=True\)"),
    (a_typed_dict, r"Bus\.fix: Loosest is mutable.*a frozen Struct"),
    (a_list_in_a_named_tuple, r"Bus\.row: Row is mutable: a list could change"),
    (a_list_in_a_map, r"Bus\.stops: list\[str\] is mutable"),
    (a_list_kept_by_a_fold, r"Bus\.tags: list\[str\] is mutable"),
    (an_object, r"Bus\.model: values of Model cannot be kept in a column.*Local"),
    (anything_in_a_tuple, r"Bus\.anything: values of .*Any.* cannot be kept"),
    (anything_as_a_key, r"Bus\.anything: Any is no key's type"),
    (a_type_as_text, r"Bus\.speed: its type is the text 'float'; types are values"),
    (a_type_with_a_forward_reference, r"Bus\.stops: its type is the text 'Fix'"),
    (a_boolean_literal, r"Bus\.on: Literal\[True\].*use bool"),
    (only_none, r"Bus\.nothing: None is the only value"),
    (a_map_with_an_optional_key, r"Bus\.stops: None is no key"),
    (a_default_of_another_type, r"Bus\.speed: the default 'x' is no float"),
    (a_default_none, r"Bus\.speed: the default None is no float.*float \| None"),
    (a_truth_for_a_number, r"Bus\.count: the default True is no int"),
    (a_number_for_a_truth, r"Bus\.on: the default 1 is no bool"),
    (a_default_beyond_int64, r"Bus\.count: the default 9223372036854775808 is no int"),
    (a_default_that_is_no_number, r"Bus\.speed: the default nan is no float"),
    (a_default_that_is_no_choice, r"Bus\.move: the default 'c' is no Literal"),
    (a_default_without_a_zone, r"Bus\.seen: the default .* is no datetime.*no time zone"),
    (a_default_of_a_map_of_another_type, r"Bus\.stops: the default '0' is no int"),
    (a_default_of_a_fold_of_another_type, r"Bus\.speed: the default 'fast' is no float"),
    (a_typo_in_a_field, r"Bus\.report\.body: `Fix` has no field `speeed`; did you mean `speed`\?"),
    (a_field_of_a_field, r"Bus\.report\.body\.speed: `float` has no field `real`"),
    (a_field_of_nothing, r"Bus\.report\.body: a Command\(\) has no body, so no `speed`"),
    (arithmetic_with_a_field, r"Bus\.report\.body\.speed: a field of a body has no value.*compute in a handler"),
    (a_condition_on_a_field, r"Bus\.report\.body\.moving: a field of a body has no value"),
    (a_point_of_numbers_and_fields, r"Bus\.position: a Point of fields takes two fields of one body"),
    (a_point_of_texts, r"Bus\.position: a Point takes two number fields"),
    (a_fold_of_a_constant, r"Bus\.top: it folds 3\.0, which is no lane; Max takes"),
    (a_fold_of_nothing, r"Bus\.top: it has nothing to fold; Mean takes"),
    (a_fold_of_text, r"Bus\.top: Sum folds numbers, and its source is str"),
    (a_fold_of_a_truth, r"Bus\.moved: Sum folds numbers, and its source is a bool; Count"),
    (a_fold_of_a_command, r"Bus\.top: Max folds numbers, and this is no value"),
    (a_fold_of_a_fold_without_a_name, r"Bus\.smooth: it reads a Max without a name"),
    (a_fold_of_another_class, r"City\.smooth: Bus\.speed belongs to another class.*over="),
    (a_roll_up_of_the_wrong_class, r"City\.speed: Tram\.speeds is no lane of Bus.*did you mean `speed`"),
    (a_roll_up_of_text, r"City\.names: Sum folds numbers"),
    (a_count_of_members_by_a_number, r"City\.fast: over members it counts those whose bool lane is true"),
    (a_roll_up_over_a_lane, r"City\.fast: over=.* is no Members lane"),
    (a_count_of_nothing, r"Bus\.count: it has nothing to fold; Count\(report\)"),
    (members_of_no_twins, r"City\.models: .*Model.* is no twin class"),
    (members_by_a_number, r"Route\.buses: by=Bus\.route is no text lane"),
    (members_by_a_lane_of_another_class, r"Route\.buses: by= is no lane of Bus.*did you mean `rout`"),
    (alpha_and_half_life, r"Bus\.smooth: it needs one of alpha= and half_life="),
    (alpha_above_one, r"Bus\.smooth: alpha=1\.5"),
    (no_half_life, r"Bus\.smooth: half_life=: '30 sek' is no span of time; write seconds"),
    (a_clear_above_the_limit, r"Bus\.fast: clear=26\.0 is above the limit 25\.0"),
    (a_clear_below_the_limit, r"Bus\.slow: clear=24\.0 is below the limit 25\.0"),
    (a_limit_that_is_a_field, r"Bus\.fast: its limit is no lane; keep a field in a lane of its own"),
    (a_limit_that_is_text, r"Bus\.fast: its limit Bus\.name is no number lane"),
    (a_negative_hold, r"Bus\.fast: hold=: -1 is out of range"),
    (a_cycle, r"Tram\.speed: folds itself: speed reads top reads speed"),
    (a_field_that_the_new_body_has_not, r"Tram\.speed: Tram\.report takes a Place, which has no field `speed`"),
    (a_time_that_is_no_field, r"Bus\.report: time='t': Fix has no such field"),
    (a_time_that_is_no_time, r"Bus\.report: time='id': the field cannot be the event's time"),
    (a_body_that_is_no_data, r"Bus\.report: Model cannot be decoded from JSON"),
    (a_severity, r"Bus\.jam: severity='bad'"),
    (a_local_that_is_no_function, r"Bus\.model: \{\} is not callable; .*Local\(dict\)"),
    (a_save_that_is_none, r"Bus\.speed: save='always'"),
    (a_limit_of_no_entries, r"Bus\.stops: limit=0"),
    (a_handler_without_the_body, r"Bus\.on_report: the handler of Bus\.report must take \(self, body\)"),
    (a_handler_with_a_body_too_many, r"Bus\.on_go: the handler of Bus\.go must take \(self\)"),
    (
        a_changed_handler_without_the_value,
        r"Bus\.on_speed: the `changed` handler of Bus\.speed must take \(self, new\)",
    ),
    (a_changed_handler_of_a_map_without_the_key, r"Bus\.on_stops: .* must take \(self, key, new, old\)"),
    (an_async_changed_handler, r"Bus\.on_speed: a `changed` handler cannot be async"),
    (an_async_hook, r"Bus\.on_start: a hook cannot be async"),
    (a_hook_with_an_argument, r"Bus\.on_create: a hook takes nothing besides self"),
    (a_handler_that_is_no_method, r"@handler: .* is not a function; decorate a plain method"),
    (a_timer_with_an_argument, r"Bus\.tick: a timer's method takes nothing besides self"),
    (a_period_of_nothing, r"Bus\.tick: @every needs a period above 0"),
    (a_period_in_weeks, r"Bus\.tick: @every: '2 weeks' is no span of time"),
    (an_init, r"Bus\.__init__: a twin class cannot have it; .*on_create"),
    (slots, r"Bus\.__slots__: a twin has no attributes besides its lanes"),
    (a_base_with_a_dict, r"Bus: its base Model gives every instance a __dict__"),
    (lanes_in_a_plain_class, r"Moving: it has lanes and is no twin class; write class Moving\(Twin\)"),
    (a_lane_replaced_by_a_method, r"Tram\.speed: Tram has a function where a value of that name is declared"),
]


@pytest.mark.parametrize(("declare", "message"), MISTAKES, ids=[declare.__name__ for declare, _ in MISTAKES])
def test_a_mistake_in_a_class(declare: Callable[[], None], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare()
    assert re.search(message, str(caught.value)), str(caught.value)
    first = declare.__code__.co_firstlineno
    assert caught.value.file == __file__
    assert first < caught.value.line <= first + 20
    assert str(caught.value).startswith(f"{__file__}:{caught.value.line}: ")


def test_lane_names_of_the_runtime_are_free_otherwise() -> None:
    class Bus(Twin):
        report = Command(Fix)
        handler = Latest(report.body.handler)
        name = Value(str)
        column = Value(int)
        body = Value(str)

    assert list(Bus.__shoal__.lanes) == ["report", "handler", "name", "column", "body"]


class TestApp:
    def test_two_classes_for_one_route(self) -> None:
        app = App("x")

        @app.twin("/bus/{id}")
        class Bus(Twin):
            pass

        with pytest.raises(DeclarationError, match=r"Tram: /bus/\{name\} and /bus/\{id\} of Bus are one route"):

            @app.twin("/bus/{name}")
            class Tram(Twin):
                pass

        @app.twin("/bus/all")
        class Buses(Twin):
            pass

        assert app.classes == [Bus, Buses]

    def test_one_class_for_two_routes(self) -> None:
        app = App("x")

        class Bus(Twin):
            pass

        app.twin("/bus/{id}", Bus)
        with pytest.raises(DeclarationError, match=r"Bus: it is at /bus/\{id\} already"):
            app.twin("/tram/{id}", Bus)

    @pytest.mark.parametrize(
        ("pattern", "message"),
        [
            ("bus/{id}", r"does not start with /; write it as \"/bus/\{id\}\""),
            ("", "does not start with /"),
            ("/", "has an empty segment"),
            ("/bus/", "has an empty segment; leave out the last /"),
            ("/bus//{id}", "has an empty segment"),
            ("/bus/{id}/{id}", r"has the parameter \{id\} twice"),
            ("/bus/{}", r"has the parameter \{\}, which is no name"),
            ("/bus/{class}", "which is no name"),
            ("/bus/{_id}", "which is no name"),
            ("/bus-{id}", "a parameter is a whole segment"),
            ("/bus stop/{id}", "a fixed segment has letters"),
            ("/bus/..", "a fixed segment has letters"),
            ("/bus?x", "a fixed segment has letters"),
        ],
    )
    def test_a_pattern(self, pattern: str, message: str) -> None:
        class Bus(Twin):
            pass

        with pytest.raises(DeclarationError, match=message):
            App("x").twin(pattern, Bus)

    def test_no_twin_class(self) -> None:
        with pytest.raises(DeclarationError, match="is no twin class; write class Bus"):
            App("x").twin("/bus/{id}", Model)  # type: ignore[type-var]
        with pytest.raises(DeclarationError, match="it has no lanes of its own"):
            App("x").twin("/bus/{id}", Twin)

    def test_an_undeclared_attribute(self) -> None:
        app = App("x")

        class Bus(Twin):
            speed = Value(float)
            go = Command()

            @go.handler
            def on_go(self) -> None:
                self.speed = 1.0
                self.pace = 2.0

            @property
            def doubled(self) -> float:
                return 2 * self.speed

            @doubled.setter
            def doubled(self, new: float) -> None:
                self.speed = new / 2

            def on_start(self) -> None:
                self.doubled = 3.0

        line = Bus.on_go.__code__.co_firstlineno + 3
        message = rf":{line}: Bus\.on_go: `self\.pace` is not declared; declare the lane, pace = Value"
        with pytest.raises(DeclarationError, match=message):
            app.twin("/bus/{id}", Bus)

        class Fast(Bus):
            pace = Value(float)

        app.twin("/bus/{id}", Fast)

    def test_members_without_a_place(self) -> None:
        app = App("x")

        class Bus(Twin):
            pass

        @app.twin("/city")
        class City(Twin):
            buses = Members(Bus)

        with pytest.raises(DeclarationError, match=r"City\.buses: Bus belongs to no population of this app"):
            app.declaration()

    def test_members_by_too_few_lanes(self) -> None:
        app = App("x")

        @app.twin("/bus/{id}")
        class Bus(Twin):
            line = Value(str)
            way = Value(str)

        @app.twin("/line/{line}/{way}")
        class Line(Twin):
            buses = Members(Bus, by=Bus.line)

        with pytest.raises(DeclarationError, match=r"Line\.buses: by= has 1 lane\(s\), and .* has 2 parameter"):
            app.declaration()

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: App("two words"), "its name 'two words'"),
            (lambda: App("x", tz="Mars/Olympus"), "tz='Mars/Olympus' is no known time zone"),
            (lambda: App("x", config=Model), "it is a class of settings"),
        ],
    )
    def test_an_app(self, make: Callable[[], object], message: str) -> None:
        with pytest.raises(DeclarationError, match=message):
            make()

    def test_the_config_exists_only_while_it_runs(self) -> None:
        class Settings(msgspec.Struct, frozen=True):
            limit: float = 3.0

        app = App("x", config=Settings)
        with pytest.raises(Exception, match=r"x\.config exists only while the app runs"):
            _ = app.config
        with app.running(None):
            assert app.config.limit == 3.0
        with app.running(Settings(4.0)):
            assert app.config.limit == 4.0
        with pytest.raises(Exception, match="exists only while"):
            _ = app.config

    def test_a_config_without_defaults(self) -> None:
        class Settings(msgspec.Struct, frozen=True):
            limit: float

        with (
            pytest.raises(DeclarationError, match=r"its config Settings has fields without a default"),
            App("x", config=Settings).running(None),
        ):
            pass


class TestIngest:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"lane": "report"}, "lane= is for a function"),
            ({"key": {"idd": "bus"}}, "key= names `idd`, which is no parameter of .*did you mean `id`"),
            ({"key": 3}, "key=3; it is a field's name, or a mapping"),
            ({"where": 3}, "where=3 is not callable"),
            ({"time": 3}, "time=3; it names a field"),
            ({"speed": 0}, "speed=0; it is a number above 0"),
            ({"speed": "fast"}, "speed='fast'; it is a number above 0"),
        ],
    )
    def test_options(self, options: dict[str, Any], message: str) -> None:
        app = App("x")

        @app.twin("/bus/{id}")
        class Bus(Twin):
            report = Command(Fix)

        with pytest.raises(DeclarationError, match=message):
            app.ingest("fixes.jsonl", Bus.report, **options)

    def test_a_class_without_a_place(self) -> None:
        class Bus(Twin):
            report = Command(Fix)

        with pytest.raises(DeclarationError, match=r"Bus\.report is of no twin of this app"):
            App("x").ingest("fixes.jsonl", Bus.report)

    def test_one_key_for_two_parameters(self) -> None:
        app = App("x")

        @app.twin("/bus/{line}/{id}")
        class Bus(Twin):
            report = Command(Fix)

        with pytest.raises(DeclarationError, match=r'name the field of each: key=\{"line": "FIELD", "id": "FIELD"\}'):
            app.ingest("fixes.jsonl", Bus.report, key="id")

    def test_a_function_without_a_lane(self) -> None:
        with pytest.raises(DeclarationError, match="lane= names the command"):
            App("x").ingest("fixes.jsonl", lambda record: f"/bus/{record['id']}")

    def test_something_else(self) -> None:
        with pytest.raises(DeclarationError, match="it goes to '/bus/7'"):
            App("x").ingest("fixes.jsonl", "/bus/7")  # type: ignore[arg-type]


def test_names_of_later_versions_say_so() -> None:
    import shoal

    class Bus(Twin):
        speed = Value(float)
        fast = Value(bool, False)

    later: list[Callable[[], object]] = [
        lambda: shoal.Idle(Bus.speed, "1 s"),
        lambda: App("x").emit(Bus.speed, "file.jsonl"),
    ]
    for make in later:
        with pytest.raises(DeclarationError, match=r"is not in this version yet: it comes with \w+"):
            make()
