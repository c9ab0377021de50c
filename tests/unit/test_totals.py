from dataclasses import replace

import pytest

from shoal._core import Counts
from shoal.totals import Spent, Totals, size


def totals(read: int = 1000, wall: float = 2.0) -> Totals:
    return Totals(
        sources={
            "fixes.jsonl": Counts(read, read - 10, 4, 6, 0, 2, "done"),
            "stops.csv.gz": Counts(50, 20, 0, 0, 30, 0, "stops.csv.gz ends in the middle of a record"),
        },
        outside=Counts(200, 195, 0, 5, 0, 0, "open"),
        inner=Counts(120, 118, 0, 1, 1, 0, "open"),
        twins={"Bus": 11, "City": 1},
        spent=Spent(wall, 1.5),
    )


def test_the_closing_line_has_an_equation_for_each_source_and_one_for_the_inside() -> None:
    assert totals().lines() == [
        "fixes.jsonl: 1,000 read = 990 applied + 4 filtered + 6 dead-lettered + 0 waiting, 2 late",
        "stops.csv.gz: 50 read = 20 applied + 0 filtered + 0 dead-lettered + 30 waiting",
        "from outside: 200 sent = 195 applied + 5 dead-lettered + 0 waiting",
        "between twins: 120 sent = 118 applied + 1 dead-lettered + 1 waiting",
        "12 twins, 625 events/s, 2.00 s, CPU 1.50 s",
    ]


def test_sums_are_over_all_sources_and_the_inside() -> None:
    sums = totals()
    assert (sums.read, sums.dead, sums.waiting, sums.all_twins) == (1250, 12, 31, 12)


def test_a_source_that_failed_is_told_from_one_that_is_done() -> None:
    assert totals().failed == {"stops.csv.gz": "stops.csv.gz ends in the middle of a record"}


def test_the_rate_is_of_what_this_run_has_read() -> None:
    assert "12 twins, 25 events/s" in replace(totals(), earlier=1_200).lines()[-1]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (1_749_999, "1.7 MB"),
        (5_000_000_000_000, "5,000.0 GB"),
    ],
)
def test_sizes_are_short(number: int, text: str) -> None:
    assert size(number) == text
