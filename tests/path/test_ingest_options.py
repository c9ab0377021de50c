"""What ``app.ingest`` may say of a source: key=, where=, to= with lane=, time=, speed=."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import pytest
from runs import Outcome, run

from shoal import App, Command, Count, Latest, Sum, Twin, Value


class Fix(msgspec.Struct):
    id: str
    speed: float


class Checked(msgspec.Struct):
    id: str
    speed: float

    def __post_init__(self) -> None:
        pass


class Fast(TypedDict):
    id: str
    speed: float


def speeds(body: Any, tmp_path: Path, text: str, name: str = "fixes.jsonl", **options: Any) -> Outcome:
    app = App("fleet")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        report = Command(body)
        speed = Latest(report.body.speed)
        reports = Count(report)

    (tmp_path / name).write_text(text)
    app.ingest(str(tmp_path / name), options.pop("to", Bus.report), **options)
    return run(app, tmp_path)


LINES = '{"id": "7", "speed": 1}\n{"id": "8", "speed": 30}\n{"id": "7", "speed": 40}\n'
ROWS = "id,speed\n7,1\n8,30\n7,40\n"


@pytest.mark.parametrize(("text", "name"), [(LINES, "fixes.jsonl"), (ROWS, "fixes.csv")])
@pytest.mark.parametrize(("body", "read"), [(Fix, getattr), (Checked, getattr), (Fast, dict.__getitem__)])
@pytest.mark.parametrize("to", [{}, {"to": lambda record: f"/bus/{record['id']}", "lane": "report"}])
def test_where_gets_the_decoded_body(
    text: str, name: str, body: Any, read: Callable[[Any, str], float], to: dict[str, Any], tmp_path: Path
) -> None:
    seen: list[Any] = []

    def where(fix: Any) -> bool:
        seen.append(fix)
        return read(fix, "speed") > 20

    done = speeds(body, tmp_path, text, name, where=where, **to)
    assert (done.counts.read, done.counts.applied, done.counts.filtered, done.counts.dead) == (3, 2, 1, 0)
    assert {uri: twin["speed"] for uri, twin in done.twins.items()} == {"/bus/8": 30.0, "/bus/7": 40.0}
    assert [read(fix, "speed") for fix in seen] == [1.0, 30.0, 40.0]
    assert all(isinstance(fix, dict if body is Fast else body) for fix in seen)


def test_a_filter_that_raises_makes_a_dead_letter(tmp_path: Path) -> None:
    done = speeds(Fix, tmp_path, LINES, where=lambda fix: 1 / (fix.speed - 30) > -9)
    assert (done.counts.applied, done.counts.dead, done.positions) == (2, 1, [2])
    assert "division" in done.reasons[0]


def test_a_filter_sees_no_record_that_does_not_fit(tmp_path: Path) -> None:
    done = speeds(Fix, tmp_path, '{"id": "7", "speed": "fast"}\n', where=lambda fix: False)
    assert (done.counts.filtered, done.counts.dead) == (0, 1)


def test_a_function_says_the_address_and_lane_the_command(tmp_path: Path) -> None:
    done = speeds(Fix, tmp_path, LINES, to=lambda record: f"/bus/x{record['id']}", lane="report")
    assert done.letters == []
    assert {uri: twin["reports"] for uri, twin in done.twins.items()} == {"/bus/x7": 2, "/bus/x8": 1}


@pytest.mark.parametrize(
    ("to", "lane", "kind", "reason"),
    [
        (lambda record: "/tram/7", "report", "unrouted", "no twin class has a pattern for `/tram/7`"),
        (lambda record: "/bus/", "report", "unrouted", "is empty"),
        (lambda record: record["line"], "report", "failed", "line"),
        (lambda record: 7, "report", "failed", "str"),
        (lambda record: "/bus/7", "land", "unrouted", "Bus has no command lane `land`; it has: report"),
    ],
)
def test_an_address_that_cannot_be_had_makes_a_dead_letter(
    to: Any, lane: str, kind: str, reason: str, tmp_path: Path
) -> None:
    done = speeds(Fix, tmp_path, '{"id": "7", "speed": 1}\n', to=to, lane=lane)
    (letter,) = done.letters
    assert (letter["kind"], letter["position"], letter["record"]) == (kind, 1, '{"id": "7", "speed": 1}')
    assert reason in letter["reason"]


def test_key_names_the_field_or_a_field_for_each_parameter(tmp_path: Path) -> None:
    class Ack(msgspec.Struct):
        ok: bool

    app = App("cells")

    @app.twin("/cell/{cell}/valve/{valve}")
    class Valve(Twin):
        ack = Command(Ack)
        acks = Count(ack)

    @app.twin("/line/{line}")
    class Line(Twin):
        ack = Command(Ack)
        acks = Count(ack)

    file = tmp_path / "acks.jsonl"
    file.write_text('{"c": "a/b", "valve": 3, "ok": true}\n{"valve": 3, "ok": true}\n')
    app.ingest(str(file), Valve.ack, key={"cell": "c"})
    app.ingest(str(file), Line.ack, key="c")
    done = run(app, tmp_path)
    assert done.twins == {"/cell/a%2Fb/valve/3": {"acks": 1}, "/line/a%2Fb": {"acks": 1}}
    assert sorted(done.reasons) == ["key field `c` is missing or null"] * 2


@pytest.mark.parametrize(
    ("text", "name"), [('{"feeder": "f1", "station": "s1"}\n', "f.jsonl"), ("feeder,station\nf1,s1\n", "f.csv")]
)
def test_a_builtin_body_takes_the_one_remaining_field(text: str, name: str, tmp_path: Path) -> None:
    app = App("grid")

    @app.twin("/feeder/{feeder}")
    class Feeder(Twin):
        assigned = Command(str)
        station = Latest(assigned.body, "unassigned")

    (tmp_path / name).write_text(text)
    app.ingest(str(tmp_path / name), Feeder.assigned, key="feeder")
    assert run(app, tmp_path).twins == {"/feeder/f1": {"station": "s1"}}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ('{"id": "a", "x": 1, "y": 2}', "takes the one remaining field; found `x`, `y`"),
        ('{"id": "a"}', "takes the one remaining field; found none"),
        ('{"id": "a", "x": "1"}', "Expected `int`, got `str`"),
    ],
)
def test_a_builtin_body_refuses_more_or_fewer(record: str, reason: str, tmp_path: Path) -> None:
    app = App("counter")

    @app.twin("/thing/{id}")
    class Thing(Twin):
        add = Command(int)
        total = Sum(add.body)

    file = tmp_path / "adds.jsonl"
    file.write_text('{"id": "a", "x": 41}\n' + record + "\n")
    app.ingest(str(file), Thing.add)
    done = run(app, tmp_path)
    assert done.twins["/thing/a"]["total"] == 41
    assert done.positions == [2]
    assert reason in done.reasons[0]


@pytest.mark.parametrize("to", [{}, {"to": lambda record: f"/bus/{record['id']}", "lane": "report"}])
@pytest.mark.parametrize(
    ("text", "name"),
    [('{"id": "7", "speed": 1, "t": 1700000000}\n', "f.jsonl"), ("id,speed,t\n7,1,1700000000\n", "f.csv")],
)
def test_time_names_a_field_beside_the_body(to: dict[str, Any], text: str, name: str, tmp_path: Path) -> None:
    assert speeds(Fix, tmp_path, text, name, time="t", **to).clock == 1_700_000_000_000_000


def test_the_time_of_ingest_goes_before_that_of_the_command(tmp_path: Path) -> None:
    class Stamped(msgspec.Struct):
        id: str
        t: datetime
        seen: datetime

    app = App("clocks")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        report = Command(Stamped, time="t")
        at_ = Value(datetime | None, None)

        @report.handler
        def on_report(self, body: Stamped) -> None:
            self.at_ = self.now

    file = tmp_path / "fixes.jsonl"
    file.write_text('{"id": "7", "t": "2023-01-01T00:00:00Z", "seen": "2024-01-01T00:00:00Z"}\n')
    app.ingest(str(file), Bus.report, time="seen")
    done = run(app, tmp_path)
    assert done.twins["/bus/7"]["at_"].year == 2024
