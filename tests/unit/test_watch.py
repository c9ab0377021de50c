import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from shoal.declaration import Column, MapTable, MembersTable, Population
from shoal.errors import DeclarationError, NoSuchTwin
from shoal.types import Point
from shoal.watch import Watch

BUS = Population(
    "Bus",
    [{"literal": "bus"}, {"parameter": "id"}],
    columns=[
        Column("speed", "float64"),
        Column("position", "point"),
        Column("late", "bool"),
        Column("_secret", "int64"),
    ],
    maps=[MapTable("stops", "string", "int64")],
)
CITY = Population(
    "City", [{"literal": "city"}], columns=[Column("size", "int64")], members=[MembersTable("buses", 0, None, [])]
)
ROUTE = Population("Stop", [{"literal": "line"}, {"parameter": "line"}, {"parameter": "stop"}])


class FakeShard:
    def __init__(self) -> None:
        self.buses: dict[tuple[str, ...], list[Any]] = {
            (str(n),): [float(n), Point(52.5, 13.25), n == 1] for n in range(30)
        }
        self.listed = 0

    def route(self, uri: str) -> tuple[int, tuple[str, ...]] | None:
        if uri == "/city":
            return 1, ()
        return (0, (uri[5:],)) if uri.startswith("/bus/") else None

    def exists(self, population: int, parameters: tuple[str, ...]) -> bool:
        return population > 0 or parameters in self.buses

    def read(self, population: int, parameters: tuple[str, ...], column: int) -> Any:
        if population == 1:
            return len(self.buses)
        if parameters not in self.buses:
            raise NoSuchTwin(str(parameters))
        return self.buses[parameters][column]

    def read_map(self, *_: Any) -> list[tuple[Any, Any]]:
        return [("a", 1), ("b", 2)]

    def read_members(self, *_: Any) -> list[str]:
        return ["/bus/1"] * 3

    def twins(self, population: int) -> list[tuple[str, ...]]:
        self.listed += 1
        return [("U6", "Alex"), ("U7", "Zoo"), ("U7", "Alt")] if population == 2 else list(self.buses)

    def size(self, population: int) -> int:
        return 3 if population == 2 else len(self.buses)

    def uri(self, population: int, parameters: tuple[str, ...]) -> str:
        return "/" + "/".join(("bus" if population == 0 else "line", *parameters))


@pytest.fixture
def shard() -> FakeShard:
    return FakeShard()


def watch(shard: FakeShard, *uris: str) -> Watch:
    run: Any = SimpleNamespace(shard=shard, declaration=SimpleNamespace(populations=[BUS, CITY, ROUTE]))
    return Watch(run, list(uris))


def shown(view: Watch, rows: int = 40) -> list[str]:
    console = Console(file=io.StringIO(), width=110)
    console.print(view.frame(rows))
    file: Any = console.file
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_a_twin_is_a_line_a_lane(shard: FakeShard) -> None:
    shard.buses[("7",)][0] = None
    lines = shown(watch(shard, "/bus/7"))
    text = "\n".join(lines)
    assert lines[0].strip() == "/bus/7"
    for parts in (
        ["speed", "unset"],
        ["position", "52.50000, 13.25000"],
        ["late", "no"],
        ["stops", "2 entries, … a: 1, b: 2"],
    ):
        assert any(all(part in line for part in parts) for line in lines), text
    assert "_secret" not in text


def test_what_numbers_change_by_is_shown_a_second(shard: FakeShard, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 10.0
    monkeypatch.setattr("shoal.watch.time.monotonic", lambda: now)
    view = watch(shard, "/bus/7")
    shown(view)
    shard.buses[("7",)][0] = 10.0
    now = 10.5
    assert any("speed" in line and "+6" in line for line in shown(view))


def test_a_twin_that_is_not_there_is_waited_for(shard: FakeShard) -> None:
    view = watch(shard, "/bus/new")
    assert shown(view) == ["/bus/new  not there yet"]
    shard.buses[("new",)] = [1.0, Point(0.0, 0.0), True]
    assert any("late" in line and "yes" in line for line in shown(view))


def test_groups_show_their_size(shard: FakeShard) -> None:
    assert any("buses" in line and "3" in line for line in shown(watch(shard, "/city")))


def test_a_pattern_shows_as_many_twins_as_fit(shard: FakeShard) -> None:
    view = watch(shard, "/bus/*")
    lines = shown(view, rows=12)
    assert lines[0].strip() == "/bus/*  30 twins"
    assert len([line for line in lines if "/bus/" in line]) == 1 + 7
    shown(view, rows=12)
    assert shard.listed == 1  # a listing of all twins is not taken for each frame
    del shard.buses[("0",)]
    shown(view, rows=12)
    assert any("/bus/7" in line for line in shown(view, rows=12))


def test_a_pattern_may_fix_some_parameters(shard: FakeShard) -> None:
    text = "\n".join(shown(watch(shard, "/line/U7/*")))
    assert "/line/U7/Zoo" in text
    assert "/line/U7/Alt" in text
    assert "U6" not in text


def test_an_address_that_no_class_has_is_a_mistake(shard: FakeShard) -> None:
    with pytest.raises(
        DeclarationError, match=r"--watch /tram/1: no twin class .*; there are /bus/\{id\}, /city, /line/"
    ):
        watch(shard, "/tram/1")
    with pytest.raises(DeclarationError):
        watch(shard, "/bus/*/x/y")
