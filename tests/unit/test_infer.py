"""What a file's first records are taken for: key, time, group, place, types and units."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inferring import Records, flights, kinds, model, readings, said, write

from shoal.infer.kinds import guess
from shoal.infer.model import Unclear
from shoal.infer.names import class_name, entity, identifier, plural, singular
from shoal.infer.units import unit_of


def test_meters_read_as_in_the_session(tmp_path: Path) -> None:
    file = write(tmp_path / "readings.csv", readings())
    told = said(file)
    lanes = "Latest, and Max, Mean of the last hour"
    assert told[0] == f"{file}: looked at 2,000 records"
    assert [" ".join(line.split()) for line in told[1:]] == [
        "key meter 200 values, in every record -> /meter/{meter}",
        "time t ISO 8601, rising, with zone",
        "group feeder 12 values, constant for each meter -> /feeder/{feeder}, with the sum and mean of every number",
        f"number kw unit kW (from the name) -> {lanes}",
        "number volt unit V (from the name), empty in 3.0 %: an empty field changes nothing",
        'text phase 3 values -> Literal["L1", "L2", "L3"]',
        "the group could also be phase (3 values): --group phase, or several",
    ]


def test_flights_have_a_place(tmp_path: Path) -> None:
    found = model(write(tmp_path / "flights.jsonl", flights()))
    assert (found.key.name, found.pattern, found.cls, found.body, found.command) == (
        "icao24",
        "/icao24/{icao24}",
        "Icao24",
        "Flight",
        "flight",
    )
    assert found.clock is not None
    assert (found.clock.field, found.clock.why) == ("time", "s since 1970, rising")
    assert found.place is not None
    assert [found.place[0].name, found.place[1].name, found.place[2]] == ["lat", "lon", "position"]
    assert [group.field.name for group in found.groups] == ["type"]
    assert kinds(found) == {"callsign": "text", "type": "text", "alt_ft": "number", "on_ground": "bool"}


def test_only_so_many_records_are_looked_at_and_the_others_counted(tmp_path: Path) -> None:
    file = write(tmp_path / "readings.csv", readings(200, 400))
    assert said(file, look=1_000)[0] == f"{file}: looked at 1,000 of 80,000 records"
    packed = tmp_path / "readings.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert said(packed, look=1_000)[0] == f"{packed}: looked at 1,000 records"


def test_a_look_in_which_no_key_repeats_goes_further_for_the_keys_alone(tmp_path: Path) -> None:
    file = write(tmp_path / "readings.csv", readings(3_000, 3))
    told = [" ".join(line.split()) for line in said(file, look=1_000)]
    assert told[1:4] == [
        "key meter 3,000 values, in every record -> /meter/{meter}",
        "time t ISO 8601, rising, with zone",
        "group feeder 12 values, constant for each meter -> /feeder/{feeder}, with the sum and mean of every number",
    ]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_records_of_rows_and_of_json_read_alike(tmp_path: Path, suffix: str) -> None:
    def typed() -> Records:
        for row in readings(50):
            yield {
                **row,
                "kw": float(row["kw"]),
                "volt": float(row["volt"]) if row["volt"] else None,
            }

    found = model(write(tmp_path / f"readings{suffix}", typed()))
    assert kinds(found) == {"feeder": "text", "kw": "number", "volt": "number", "phase": "choice"}
    assert found.time is not None


# -- keys


def rows(count: int, make: Callable[[int], dict[str, Any]]) -> Records:
    return (make(number) for number in range(count))


@pytest.mark.parametrize(
    ("make", "key", "pattern"),
    [
        (lambda i: {"id": i % 10, "x": i}, "id", "/thing/{id}"),
        (lambda i: {"x": i * 0.5, "sensor_id": f"s{i % 10}"}, "sensor_id", "/sensor/{sensor_id}"),
        (lambda i: {"event_id": f"e{i}", "sensor": f"s{i % 10}"}, "sensor", "/sensor/{sensor}"),
        (lambda i: {"Device ID": f"s{i % 10}", "x": 1}, "Device ID", "/device/{device_id}"),
        (lambda i: {"deviceId": f"s{i % 10}", "x": 1}, "deviceId", "/device/{deviceId}"),
        (lambda i: {"x": 1, "VIN": f"W{i % 10:05d}"}, "VIN", "/vin/{VIN}"),
        # one record a twin
        (lambda i: {"id": f"t{i}", "x": 1}, "id", "/thing/{id}"),
        # texts and numbers in one field
        (lambda i: {"id": i % 10 if i % 2 else f"t{i % 10}", "x": 1}, "id", "/thing/{id}"),
        (lambda i: {"class": f"t{i % 10}", "x": 1, "id": "always"}, "class", "/class/{class_}"),
    ],
)
def test_the_key(tmp_path: Path, make: Callable[[int], dict[str, Any]], key: str, pattern: str) -> None:
    options = {"key": "class"} if key == "class" else {}
    found = model(write(tmp_path / "things.jsonl", rows(200, make)), **options)
    assert (found.key.name, found.pattern) == (key, pattern)


def test_several_keys_say_how_to_choose(tmp_path: Path) -> None:
    file = write(tmp_path / "things.jsonl", rows(300, lambda i: {"device": f"d{i % 20}", "sensor": f"s{i * 7 % 30}"}))
    assert model(file).key.name == "device"
    assert "  the key could also be sensor: --key sensor" in said(file)
    assert model(file, key="sensor").key.name == "sensor"


def test_no_key_says_why_and_what_to_do(tmp_path: Path) -> None:
    file = write(tmp_path / "things.csv", rows(100, lambda i: {"a": i * 1.5, "b": "" if i % 2 else "x"}))
    with pytest.raises(Unclear) as error:
        model(file)
    assert str(error.value).splitlines() == [
        f"{file}: no field can name a twin",
        "  a: it is a number, and a key is a text or a whole number",
        "  b: it is empty in 50.0 % of the records",
    ]
    with pytest.raises(Unclear, match=r"--key b: it cannot be the key: it is empty in 50\.0 % of the records"):
        model(file, key="b")
    vague = write(tmp_path / "vague.csv", rows(100, lambda i: {"n": i % 7, "note": "some words in a row"}))
    with pytest.raises(Unclear, match=r"say which: --key FIELD\n  it could be"):
        model(vague)


@pytest.mark.parametrize("text", ["", "\n\n", "[1]\n[2]\n", "1\n2\n"])
def test_a_file_without_records_says_so(tmp_path: Path, text: str) -> None:
    file = tmp_path / "nothing.jsonl"
    file.write_text(text)
    with pytest.raises(Unclear, match="a record is an object, or a row under a header"):
        model(file)


def test_names_that_do_not_exist_are_near_to_one_that_does(tmp_path: Path) -> None:
    file = write(tmp_path / "readings.csv", readings(20))
    for options in ({"key": "mter"}, {"time": "tt"}, {"groups": ("feder",)}, {"sets": {"kww": "text"}}):
        with pytest.raises(Unclear, match=r"no record of the first 200 has a field `\w+`; did you mean"):
            model(file, **options)
    with pytest.raises(Unclear, match="a type is one of text, number"):
        model(file, sets={"kw": "string of digits"})


# -- time


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([1_767_225_600, 1_767_225_601], "s since 1970, rising"),
        ([1_767_225_600.5, 1_767_225_601.5], "s since 1970, rising"),
        ([1_767_225_600_000, 1_767_225_601_000], "ms since 1970, rising"),
        ([1_767_225_600_000_000, 1_767_225_601_000_000], "µs since 1970, rising"),
        (["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"], "ISO 8601, rising, with zone"),
        (["2026-01-01 00:00:00", "2026-01-01 00:00:01"], "ISO 8601, rising, without zone"),
        (["2026-01-01T00:00:00+01:00", "2026-01-01T00:00:01"], "ISO 8601, rising, some without zone"),
        (
            ["2026-01-01T00:00:01Z", "2026-01-01T00:00:00Z"],
            "ISO 8601, earlier than one before it in 50.0 %: those are taken at the clock's time, with zone",
        ),
    ],
)
def test_the_time(tmp_path: Path, values: list[Any], why: str) -> None:
    for name in ("ts", "eventTime", "measured_at"):
        found = model(write(tmp_path / "x.jsonl", [{"id": "a", name: value, "x": 1.0} for value in values]))
        assert found.clock is not None
        assert (found.clock.field, found.clock.why) == (name, why)


@pytest.mark.parametrize(
    ("values", "kind", "why"),
    [
        ([1_767_225_600_000_000_000, 1_767_225_601_000_000_000], "whole", "nanoseconds"),
        ([5, 6], "number", "no s, ms or µs since 1970"),
        (["01.02.2026", "02.02.2026"], "text", "no times of ISO 8601"),
        (["2026-01-01", "2026-01-02"], "text", "no times of ISO 8601"),
    ],
)
def test_what_is_no_time_says_why(tmp_path: Path, values: list[Any], kind: str, why: str) -> None:
    file = write(tmp_path / "x.jsonl", [{"id": "a", "time": value} for value in values])
    found = model(file)
    assert found.time is None
    assert kinds(found) == {"time": kind}
    assert any("records count when they arrive" in line for line in said(file))
    with pytest.raises(Unclear, match=f"--time time: it cannot be the time: .*{why}"):
        model(file, time="time")


def test_times_without_a_zone_are_told(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", [{"id": "a", "t": f"2026-01-01T00:00:0{i}"} for i in range(5)])
    assert said(file, tz="Europe/Berlin")[-1].startswith("  times without a zone are taken in Europe/Berlin: --tz")
    assert model(file, time="none").time is None


def test_a_second_time_is_a_lane(tmp_path: Path) -> None:
    stamp = "2026-01-01T00:00:00Z"
    file = write(tmp_path / "x.jsonl", [{"id": "a", "created": stamp, "time": stamp} for _ in range(5)])
    found = model(file)
    assert found.time is not None
    assert found.time.name == "time"
    assert kinds(found) == {"created": "time"}
    assert "  the time could also be created: --time created" in said(file)


# -- kinds of values


@pytest.mark.parametrize(
    ("values", "kind", "why"),
    [
        ([1, 2], "number", ""),
        ([1, 2.5], "number", ""),
        ([2**60, 1], "whole", ""),
        ([True, False], "bool", ""),
        (["a", "b"] * 20, "choice", ""),
        (["a"] * 20 + ["b"] * 20, "text", ""),
        (["a"] * 20 + ["b"], "text", ""),
        (["a"] * 30 + ["b"] * 10, "text", ""),
        ([str(i) for i in range(100)], "text", "numbers in quotes: kept as text"),
        ([1, 2, "n/a", 3.5], "value", "number in 75.0 %, text in 25.0 %: kept as it comes"),
        ([{"a": 1}], "value", "objects: kept as they come"),
        ([[1], [2]], "value", "lists: kept as they come"),
        ([], "empty", "empty in every record: a lane when its first value comes"),
        (["1/2/2026"], "text", "looks like a time, but not one of ISO 8601 with a time of day: kept as text"),
    ],
)
def test_kinds_of_json(values: list[Any], kind: str, why: str) -> None:
    found = guess("x", values, rows=False)
    assert (found.kind, found.why) == (kind, why)


@pytest.mark.parametrize(
    ("values", "kind", "why"),
    [
        (["1", " 2 ", "-3"], "number", ""),
        (["1.5", "2e3"], "number", ""),
        (["true", "FALSE"], "bool", ""),
        (["1", "2", "n/a"], "text", "number in 66.7 %, text in the others: kept as text"),
        (["007", "008", "123"], "text", "digits with leading zeros: kept as text"),
        (["2026-01-01T00:00:00Z"], "time", ""),
        (["yes"] * 30 + ["no"] * 2 + ["yes"] * 30, "choice", ""),
        (["NaN", "1"], "text", ""),
    ],
)
def test_kinds_of_rows(values: list[str], kind: str, why: str) -> None:
    found = guess("x", values, rows=True)
    assert (found.kind, found.why) == (kind, why)


@pytest.mark.parametrize("name", ["count", "n", "door_count", "version", "route_id", "seq"])
def test_what_counts_stays_whole(name: str) -> None:
    assert guess(name, [1, 2], rows=False).kind == "whole"
    assert guess(name, ["1", "2"], rows=True).kind == "whole"


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("kw", "kW"),
        ("power_kw", "kW"),
        ("speed_mps", "m/s"),
        ("speed_m_s", "m/s"),
        ("temp_c", "°C"),
        ("Temp C", "°C"),
        ("tempC", "°C"),
        ("altFt", "ft"),
        ("humidity_pct", "%"),
        ("c", ""),
        ("m", ""),
        ("min", ""),
        ("speed", ""),
        ("meter", ""),
    ],
)
def test_units_come_from_names(name: str, unit: str) -> None:
    assert unit_of(name) == unit


# -- groups and places


def test_groups_are_chosen_or_left_out(tmp_path: Path) -> None:
    file = write(tmp_path / "readings.csv", readings())
    assert [group.pattern for group in model(file, groups=("feeder", "phase")).groups] == [
        "/feeder/{feeder}",
        "/phase/{phase}",
    ]
    assert model(file, groups=("none",)).groups == []
    for name in ("kw", "meter"):
        with pytest.raises(Unclear, match=f"--group {name}: a group is a field of texts, and not the key"):
            model(file, groups=(name,))


def test_what_changes_for_a_twin_is_no_group(tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", rows(300, lambda i: {"sensor": f"s{i % 20}", "state": f"z{i // 100}", "v": i}))
    assert model(file).groups == []


@pytest.mark.parametrize(
    ("lat", "lon"), [("lat", "lon"), ("Latitude", "Longitude"), ("lat", "lng"), ("pos_lat", "pos_long")]
)
def test_places(tmp_path: Path, lat: str, lon: str) -> None:
    found = model(write(tmp_path / "x.csv", rows(50, lambda i: {"id": f"a{i % 5}", lat: i * 1.1, lon: -i * 2.5})))
    assert found.place is not None
    assert (found.place[0].name, found.place[1].name) == (lat, lon)


def test_no_place_where_a_number_is_out_of_range_or_missing(tmp_path: Path) -> None:
    outside = write(tmp_path / "x.csv", rows(50, lambda i: {"id": f"a{i % 5}", "lat": i * 3.1, "lon": 1.5}))
    assert model(outside).place is None
    holes = write(tmp_path / "y.csv", rows(50, lambda i: {"id": f"a{i % 5}", "lat": i or "", "lon": 1.5}))
    assert model(holes).place is None
    assert kinds(model(holes)) == {"lat": "number", "lon": "number"}


# -- names


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("kw", "kw"),
        ("at", "at_"),
        ("now", "now_"),
        ("log", "log_"),
        ("class", "class_"),
        ("Wind Speed", "wind_speed"),
        ("2nd", "n2nd"),
        ("_x", "x"),
        ("%", "field"),
        ("größe", "größe"),
        ("str", "str_"),
        ("Latest", "Latest_"),
        ("uri", "uri_"),
        ("@type", "type"),
    ],
)
def test_names_are_python_names(name: str, made: str) -> None:
    assert identifier(name) == made


def test_words() -> None:
    assert [singular(each) for each in ("readings", "fixes", "buses", "bus", "cities", "status", "glass")] == [
        "reading",
        "fix",
        "bus",
        "bus",
        "city",
        "status",
        "glass",
    ]
    assert [plural(each) for each in ("meter", "bus", "city", "day", "box")] == [
        "meters",
        "buses",
        "cities",
        "days",
        "boxes",
    ]
    assert [entity(*each) for each in (("meter_id", "x"), ("id", "flights"), ("uuid", ""), ("Device No.", "x"))] == [
        "meter",
        "flight",
        "thing",
        "device",
    ]
    assert (class_name("smart meter"), class_name("3d-printer")) == ("SmartMeter", "N3DPrinter")


def test_ten_thousand_records_are_looked_at_in_half_a_second(tmp_path: Path) -> None:
    import time

    file = write(tmp_path / "readings.csv", readings(1_000, 10))
    best = 9.0
    for _ in range(3):
        start = time.perf_counter()
        model(file)
        best = min(best, time.perf_counter() - start)
    assert best < 0.5


def test_json_that_is_broken_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text("".join(json.dumps({"id": f"a{i % 3}", "v": i}) + "\n" for i in range(50)) + "{broken\n[1]\n")
    assert said(file)[-1] == "  2 of the first records are no JSON objects: dead letters"
