from pathlib import Path

from shoal._core import Counts
from shoal.progress import Rate, place_in, status
from shoal.totals import Spent, Totals


def totals(read: int, wall: float, dead: int = 0) -> Totals:
    counts = Counts(read, read - dead - 31, 0, dead, 31, 0, "open")
    nothing = Counts(0, 0, 0, 0, 0, 0, "open")
    return Totals({"fixes.jsonl": counts}, nothing, nothing, {"Bus": 12}, Spent(wall, 1.0))


def test_the_status_line_is_short() -> None:
    assert status(totals(1050, 2.0), 820.4) == "1,050 records  820 events/s  12 twins  0 dead letters  31 waiting"
    assert "  1 dead letter  " in status(totals(1050, 2.0, dead=1), 820.4)


def test_the_rate_is_that_since_the_last_look() -> None:
    rate = Rate()
    assert rate.of(totals(1000, 2.0)) == 500.0
    assert rate.of(totals(2000, 2.5)) == 2000.0
    assert rate.of(totals(2000, 2.5)) == 0.0


def test_the_place_in_a_file_is_that_of_its_reader(tmp_path: Path) -> None:
    path = tmp_path / "fixes.jsonl"
    path.write_bytes(b"x" * 1000)
    assert place_in(str(path)) == (0, 1000)
    with path.open("rb", buffering=0) as file:
        file.read(250)
        assert place_in(str(path)) == (250, 1000)
    assert place_in(str(tmp_path / "other")) is None
    assert place_in("/dev/null") is None
