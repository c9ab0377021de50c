"""Parquet files as data tools write them. Those in ``parquet/`` were written by PyArrow 26, uncompressed:

plain    id text, x float, n int32, on bool; row 3 has no id, x of row 2 is NaN
typed    id int64, t timestamp[ms] without zone, zoned timestamp[us, Europe/Berlin], day date
nested   id text, place {lat, lon}, stops list of text
decimal  id text, price decimal(9, 2)
"""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from runs import Outcome, one_twin_app, run

FILES = Path(__file__).parent / "parquet"


def read(name: str, body: Any, folder: Path, **options: Any) -> Outcome:
    return run(one_twin_app(FILES / f"{name}.parquet", body, **options), folder)


class Plain(msgspec.Struct):
    id: str
    x: float
    n: int | None
    on: bool | None


def test_null_and_nan(tmp_path: Path) -> None:
    done = read("plain", Plain, tmp_path)
    assert done.twins == {"/thing/7": {"seen": 1, "x": 1.5, "n": 1, "on": True}}
    assert done.positions == [2, 3]
    assert done.reasons == ["JSON is malformed: invalid character (byte 14)", "Expected `str`, got `null` - at `$.id`"]
    assert done.letters[0]["record"] == '{"id":"8","x":NaN,"n":null,"on":null}'


class Whole(msgspec.Struct):
    id: int


class Text(msgspec.Struct):
    id: str


class Typed(msgspec.Struct):
    t: datetime | None
    zoned: datetime


def test_a_whole_number_is_a_key_but_no_text(tmp_path: Path) -> None:
    assert list(read("typed", Whole, tmp_path).twins) == ["/thing/7", "/thing/8"]
    assert read("typed", Text, tmp_path).reasons == ["Expected `str`, got `int` - at `$.id`"] * 2


def test_times_are_instants_and_move_the_clock(tmp_path: Path) -> None:
    done = read("typed", Typed, tmp_path, tz="Europe/Berlin", time="zoned")
    assert done.letters == []
    moment = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    # a timestamp without a zone is in the app's
    assert done.twins["/thing/7"]["t"] == datetime(2023, 11, 14, 21, 13, 20, tzinfo=UTC)
    assert done.twins["/thing/8"]["t"] is None
    assert done.clock == moment.timestamp() * 1e6


class Place(msgspec.Struct, frozen=True):
    lat: float
    lon: float


class Nested(msgspec.Struct):
    id: str
    place: Place
    stops: tuple[str, ...]


class Flat(msgspec.Struct):
    id: str
    place: str


def test_nested_columns_are_records_and_lists(tmp_path: Path) -> None:
    done = read("nested", Nested, tmp_path)
    assert done.letters == []
    assert done.twins["/thing/7"] == {"seen": 1, "place": {"lat": 1.5, "lon": 2.5}, "stops": ["a", "b"]}
    assert read("nested", Flat, tmp_path).reasons == ["Expected `str`, got `object` - at `$.place`"]


class Price(msgspec.Struct):
    id: str
    price: float


class Exact(msgspec.Struct):
    id: str
    price: str


def test_decimal_columns(tmp_path: Path) -> None:
    assert [twin["price"] for twin in read("decimal", Price, tmp_path).twins.values()] == [1.5, 2.0]
    assert read("decimal", Exact, tmp_path).reasons == ["Expected `str`, got `float` - at `$.price`"] * 2


class Day(msgspec.Struct):
    id: int
    day: date


def test_dates(tmp_path: Path) -> None:
    done = read("typed", Day, tmp_path)
    assert done.letters == []
    assert [twin["day"] for twin in done.twins.values()] == ["2023-11-14"] * 2


@pytest.mark.parametrize("cut", [0, 3, 100, 500])
def test_a_cut_or_empty_file_fails_the_source(cut: int, tmp_path: Path) -> None:
    file = tmp_path / "cut.parquet"
    file.write_bytes((FILES / "plain.parquet").read_bytes()[:cut])
    done = run(one_twin_app(file, Plain), tmp_path)
    assert done.counts.read == 0
    assert "cut.parquet cannot be read as Parquet" in done.counts.state
