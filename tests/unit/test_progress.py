from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shoal._core import Counts
from shoal.progress import Rate, linked, place_in, saved, status
from shoal.totals import Spent, Totals


def totals(read: int, wall: float, dead: int = 0) -> Totals:
    counts = Counts(read, read - dead - 31, 0, dead, 31, 0, "open")
    nothing = Counts(0, 0, 0, 0, 0, 0, "open")
    return Totals({"fixes.jsonl": counts}, nothing, nothing, {"Bus": 12}, Spent(wall, 1.0))


def test_the_status_line_is_short() -> None:
    assert status(totals(1050, 2.0), 820.4) == "1,050 records  820 events/s  12 twins  0 dead letters  31 waiting"
    assert "  1 dead letter  " in status(totals(1050, 2.0, dead=1), 820.4)


@dataclass
class Journal:
    """As ``JournalStatus``, which only the core makes."""

    risk_seconds: float = 0.0
    risk_changes: int = 0
    paused: bool = False
    problem: str = ""


def test_what_is_at_risk_is_shown() -> None:
    def shown(**now: Any) -> str:
        journal: Any = Journal(**now)
        return saved(journal)

    assert saved(None) == ""
    assert shown() == "  saved"
    assert shown(risk_seconds=0.04, risk_changes=12_345) == "  saved, 0.04 s and 12,345 changes at risk"
    assert shown(risk_seconds=0.051, risk_changes=1) == "  saved, 0.05 s and 1 change at risk"
    waits = shown(risk_seconds=2.3, risk_changes=9, paused=True)
    assert waits == "  waiting for the disk, 2.30 s and 9 changes at risk"
    assert shown(problem="the disk is full") == "  saved  no checkpoint: the disk is full"
    journal: Any = Journal(risk_seconds=0.5, risk_changes=2)
    assert status(replace(totals(1050, 2.0), journal=journal), 820.4).endswith("  saved, 0.50 s and 2 changes at risk")


def test_servers_without_a_connection_are_shown() -> None:
    assert linked({}) == ""
    assert linked({"warp://a:1": ""}) == "  1 of 1 server connected"
    two = {"warp://a:1": "", "warp://b:1": "nobody listens at warp://b:1"}
    assert linked(two) == "  1 of 2 servers connected: nobody listens at warp://b:1"
    assert status(replace(totals(1050, 2.0), remotes=two), 820.4).endswith("listens at warp://b:1")


def test_the_rate_leaves_out_what_earlier_runs_have_read() -> None:
    rate = Rate()
    assert rate.of(replace(totals(1_000, 1.0), earlier=900)) == 100.0
    assert rate.of(replace(totals(1_300, 2.0), earlier=900)) == 300.0


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
