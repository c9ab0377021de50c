"""CSV as spreadsheets and people write it."""

from pathlib import Path
from typing import Literal

import msgspec
import pytest
from runs import run_text


class Row(msgspec.Struct):
    id: str
    x: float | None = None
    n: int | None = None
    on: bool | None = None
    note: str | None = None
    kind: Literal["a", "b"] | None = None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("7,1", "row has 2 fields, the header has 3"),
        ("7,1,a,b", "row has 4 fields, the header has 3"),
        ("7", "row has 1 field, the header has 3"),
        ("7,one,a", "Expected `float | null`, got 'one' - at `$.x`"),
        ("7,NaN,a", "Expected `float | null`, got 'NaN' - at `$.x`"),
        ("7,inf,a", "Expected `float | null`, got 'inf' - at `$.x`"),
        ("7,1e999,a", "Number out of range - at `$.x`"),
        (",1,a", "Object missing required field `id`"),
        ('7,"1"x,a', "Expected `float | null`, got '1x' - at `$.x`"),
    ],
)
def test_a_row_that_does_not_fit_is_dead(row: str, reason: str, tmp_path: Path) -> None:
    done = run_text(f"id,x,note\n7,1.5,fine\n{row}\n8,2,fine\n", Row, tmp_path, "rows.csv")
    assert (done.counts.applied, done.counts.dead) == (2, 1)
    assert reason in done.reasons[0]
    assert done.positions == [3]
    assert list(done.twins) == ["/thing/7", "/thing/8"]


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("n", "3", 3),
        ("n", "3.0", 3),
        ("n", "-9223372036854775808", -(2**63)),
        ("x", "3.5", 3.5),
        ("x", "3", 3.0),
        ("x", "1e3", 1000.0),
        ("on", "true", True),
        ("on", "false", False),
        ("note", "3", "3"),
        ("note", '"say ""hi"""', 'say "hi"'),
        ("note", '"two\nlines"', "two\nlines"),
        ("note", '"a,b"', "a,b"),
        ("note", "", None),
        ("x", "", None),
        ("kind", "a", "a"),
    ],
)
def test_a_field_is_taken_by_the_type_of_its_lane(column: str, text: str, value: object, tmp_path: Path) -> None:
    done = run_text(f"id,{column}\n7,{text}\n8,\n", Row, tmp_path, "rows.csv")
    assert done.letters == []
    assert done.twins["/thing/7"][column] == value
    assert done.twins["/thing/8"][column] is None


@pytest.mark.parametrize(
    ("column", "text"),
    [("n", "3.5"), ("n", "9223372036854775808"), ("n", "0x1"), ("on", "2"), ("on", "yep"), ("kind", "c")],
)
def test_a_field_of_another_type_is_dead(column: str, text: str, tmp_path: Path) -> None:
    done = run_text(f"id,{column}\n7,{text}\n", Row, tmp_path, "rows.csv")
    assert (done.counts.dead, done.positions) == (1, [2])
    assert f"$.{column}" in done.reasons[0]
    assert done.letters[0]["record"] == f'{{"id":"7","{column}":"{text}"}}'


@pytest.mark.parametrize(
    "text",
    [
        "id,x\r\n7,1\r\n",
        "id,x\r\n7,1",
        "\ufeffid,x\n7,1\n",
        '"id","x"\n"7","1"\n',
        "x,id\n1,7\n",
        "id,x\n\n7,1\n\n",
        " id , x\n7,1\n",
    ],
)
def test_fine_without_complaint(text: str, tmp_path: Path) -> None:
    done = run_text(text, Row, tmp_path, "rows.csv")
    assert done.letters == []
    assert done.twins["/thing/7"]["x"] == 1.0


def test_positions_are_lines_of_the_file_also_after_quoted_line_ends(tmp_path: Path) -> None:
    done = run_text('id,note\n7,"one\ntwo\nthree"\n8\n', Row, tmp_path, "rows.csv")
    assert done.positions == [5]


@pytest.mark.parametrize(
    ("header", "state"),
    [
        ("id,x,x", 'rows.csv, line 1: columns 2 and 3 are both named "x"; rename one of them'),
        ("id,x,", "rows.csv, line 1: column 3 of the header has no name; give it one in the first row"),
    ],
)
def test_a_doubled_or_empty_header_fails_the_source(header: str, state: str, tmp_path: Path) -> None:
    done = run_text(f"{header}\n7,1,2\n", Row, tmp_path, "rows.csv")
    assert (done.counts.read, done.twins) == (0, {})
    assert state in done.counts.state


def test_a_quote_that_never_closes_is_dead_and_said(tmp_path: Path) -> None:
    done = run_text('id,note\n7,"open\n8,fine\n9,fine\n', Row, tmp_path, "rows.csv")
    assert done.counts.applied == 0
    assert "quote" in done.reasons[0]
    assert done.positions == [2]
