"""Records that are JSON, or nearly, and do not fit: each is a dead letter with its position and its reason."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from runs import run_text


class Reading(msgspec.Struct):
    id: str
    x: float | None = None
    n: int | None = None
    on: bool | None = None
    note: str | None = None


class Needed(msgspec.Struct):
    id: str
    x: float


# the same shape for msgspec: a constraint takes it off the core's own path
class Checked(msgspec.Struct):
    id: str
    x: float | None = None
    n: int | None = None
    on: bool | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        if self.x is not None and self.x > 1e300:
            raise ValueError("x is absurd")


GOOD = '{"id": "7", "x": 1.5}'
CASES = [
    ('{"id": "7", "x": 1, "x": 2}', "Object has the field `x` twice"),
    ('{"id": "7", "id": "8"}', "Object has the field `id` twice"),
    ('{"id": "7", "x": NaN}', "JSON is malformed: invalid character"),
    ('{"id": "7", "x": Infinity}', "JSON is malformed: invalid character"),
    ('{"id": "7", "x": -Infinity}', "JSON is malformed: invalid character"),
    ('{"id": "7", "x": 1e999}', "Number out of range"),
    ('{"id": "7", "x": -1e999}', "Number out of range"),
    ('{"id": "7", "n": 9223372036854775808}', "int64"),
    ('{"id": "7", "n": -9223372036854775809}', "int64"),
    ('{"id": "7", "n": 3.5}', "Expected `int | null`, got `float`"),
    ('{"id": "7", "on": 1}', "Expected `bool | null`, got `int`"),
    ('{"id": "7", "on": "true"}', "Expected `bool | null`, got `str`"),
    ('{"id": "7", "x": "3.5"}', "Expected `float | null`, got `str`"),
    ('{"id": "7", "x": true}', "Expected `float | null`, got `bool`"),
    ('{"id": "7", "note": 3}', "Expected `str | null`, got `int`"),
    ('{"id": "7", "x": {}}', "Expected `float | null`, got `object`"),
    ('{"id": "7", "x": []}', "Expected `float | null`, got `array`"),
    ("{", "Input data was truncated"),
    ('{"id": "7"} x', "JSON is malformed: trailing characters"),
    ('{"id": "7",}', "JSON is malformed: trailing comma in object"),
    ("[]", "Expected `object`, got `array`"),
    ("7", "Expected `object`, got `int`"),
    ("null", "Expected `object`, got `null`"),
    ('{"id": "a\\ud800"}', "surrogate"),
]


@pytest.mark.parametrize("body", [Reading, Checked])
@pytest.mark.parametrize(("bad", "reason"), CASES)
def test_a_bad_record_is_dead_and_its_neighbours_are_not(bad: str, reason: str, body: Any, tmp_path: Path) -> None:
    done = run_text(f"{GOOD}\n{bad}\n{GOOD}\n", body, tmp_path)
    assert (done.counts.read, done.counts.applied, done.counts.dead) == (3, 2, 1)
    (letter,) = done.letters
    assert (letter["position"], letter["kind"], letter["record"]) == (2, "invalid", bad)
    assert reason in letter["reason"]
    assert done.twins == {"/thing/7": {"seen": 2, "x": 1.5, "n": None, "on": None, "note": None}}


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    done = run_text('{"id": "7"}\n{"x": 1}\n{"id": "7", "x": null}\n', Needed, tmp_path)
    assert done.reasons == [
        "Object missing required field `x`",
        "Object missing required field `id`",
        "Expected `float`, got `null` - at `$.x`",
    ]
    assert done.twins == {}


def test_null_and_missing_fields_step_no_fold(tmp_path: Path) -> None:
    done = run_text(f'{GOOD}\n{{"id": "7", "x": null}}\n{{"id": "7"}}\n', Reading, tmp_path)
    assert done.letters == []
    assert done.twins["/thing/7"]["x"] == 1.5
    assert done.twins["/thing/7"]["seen"] == 3


@pytest.mark.parametrize("body", [Reading, Checked])
def test_extra_fields_and_whole_floats_are_fine(body: Any, tmp_path: Path) -> None:
    text = '{"id": "7", "deep": {"a": [1, {"b": null}]}, "n": 3.0, "x": 2}\n{"more": "…", "id": "7", "n": -0}\n'
    done = run_text(text, body, tmp_path)
    assert done.letters == []
    assert (done.twins["/thing/7"]["n"], done.twins["/thing/7"]["x"]) == (0, 2.0)


@pytest.mark.parametrize("body", [Reading, Checked])
def test_the_ends_of_int64_are_inside(body: Any, tmp_path: Path) -> None:
    text = '{"id": "a", "n": 9223372036854775807}\n{"id": "b", "n": -9223372036854775808}\n'
    done = run_text(text, body, tmp_path)
    assert [twin["n"] for twin in done.twins.values()] == [2**63 - 1, -(2**63)]


def test_nesting_is_bounded(tmp_path: Path) -> None:
    deep = '{"id": "7", "deep": ' + "[" * 100_000 + "]" * 100_000 + "}"
    done = run_text(f"{deep}\n{GOOD}\n", Reading, tmp_path)
    assert (done.counts.applied, done.counts.dead) == (1, 1)
    assert "Nested deeper than 512 levels" in done.reasons[0]
