"""The demo's data and its screen."""

import gzip
import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from airspace import recorded, simulator
from airspace.app import Alert
from airspace.recount import recount
from airspace.screen import Screen
from airspace.serving import Hints
from airspace.snapshot import AircraftReading, CellReading, Snapshot
from rich.console import Console

ROWS = [
    {"icao24": "a", "timestamp": 3000, "altitude": None, "note": "é 1.0"},
    {"icao24": "a", "timestamp": 5000, "altitude": 1.0},
    {"icao24": "b", "timestamp": 1000, "altitude": 2.0},
    {"icao24": "b", "timestamp": 3000, "altitude": 3.50},
]


def pack(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_bytes(gzip.compress(json.dumps(rows).encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_recording_is_turned_over_to_order_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checksum = pack(tmp_path / "quickstart.json.gz", ROWS)
    monkeypatch.setattr(recorded, "CHECKSUM", checksum)
    monkeypatch.setattr(recorded, "ROWS", len(ROWS))
    path = recorded.prepare(tmp_path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == [ROWS[2], ROWS[0], ROWS[3], ROWS[1]]
    assert recorded.prepare(tmp_path) == path


def test_another_file_than_the_recording_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checksum = pack(tmp_path / "quickstart.json.gz", ROWS)
    with pytest.raises(recorded.Unavailable, match=r"has the checksum .* delete it to fetch it again"):
        recorded.prepare(tmp_path)
    monkeypatch.setattr(recorded, "CHECKSUM", checksum)
    with pytest.raises(recorded.Unavailable, match="holds 4 rows, not 284,505"):
        recorded.prepare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["quickstart.json.gz"]


def test_the_simulator_is_seeded_and_in_order_of_time(tmp_path: Path) -> None:
    path = simulator.prepare(tmp_path, 300)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == list(simulator.rows(300))
    times = [row["timestamp"] for row in rows]
    assert times == sorted(times)
    assert any(row["altitude"] is None for row in rows)
    assert recount(path).rows == len(rows)


def snapshot() -> Snapshot:
    time = datetime(2021, 10, 7, 13, 5, 53, tzinfo=UTC)
    aircraft = [
        AircraftReading(
            f"39{number:04x}", f"AFR{number}", (47.8 + number % 7 * 0.3, 1 + number % 11 * 0.3), 900.0 * number
        )
        for number in range(40)
    ]
    for one in aircraft[5:]:
        one.airborne, one.speed, one.track, one.climb, one.phase = True, 300.0, 45.0, 1500.0, "climb"
    aircraft[20].emergency = "emergency"
    aircraft[30].sinking = True
    cells = [CellReading(f"N4{number}E002", number, number, None if number == 3 else 1000.0) for number in range(9)]
    alerts = [Alert(time, "390014", "AFR20", "emergency", "squawks 7700")] * 30
    return Snapshot(time, 284_505, 284_041, 464, 0, 213, 88, 1, 284_041, 30, 301.5, 47_900.0, alerts, aircraft, cells)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (132, 43), (160, 50)])
@pytest.mark.parametrize("hints", [Hints(""), Hints("http://127.0.0.1:9001"), Hints("http://127.0.0.1:45678")])
def test_the_screen_fills_the_terminal_and_no_more(width: int, height: int, hints: Hints) -> None:
    text = drawn(Screen("60×", simulated=False, total=284_505, hints=hints), snapshot(), width, height)
    lines = text.splitlines()
    assert len(lines) == height
    hinted = [line for line in lines if "shoal link" in line or "curl" in line]
    assert {len(line) for line in lines[3:] if line not in hinted} == {width}
    assert max(map(len, lines)) == width
    if hints.address:
        assert "/aircraft/390005 altitude" in hinted[0]
        assert f"curl {hints.address}/airspace" in hinted[-1]
    assert "2021-10-07 13:05:53 UTC  60×" in lines[0]
    assert "refused 464" in lines[1]
    assert "emergency" in text
    assert "squawks 7700" in text
    assert "N48E002" in text
    assert "↗" in text


def test_simulated_traffic_is_marked_on_the_screen() -> None:
    for width in (80, 160):
        assert " SIMULATED " in drawn(Screen("max", simulated=True, total=1, hints=Hints("")), snapshot(), width, 30)


def test_the_hints_name_the_server_where_it_is_not_the_usual_one_and_stay_with_an_aircraft() -> None:
    now = snapshot()
    usual, other = Hints("http://127.0.0.1:9001"), Hints("http://127.0.0.1:45678")
    usual.shoal = other.shoal = "shoal"
    assert usual.of(now) == ["shoal link /aircraft/390005 altitude", "curl http://127.0.0.1:9001/airspace"]
    assert other.of(now)[0] == "shoal link warp://127.0.0.1:45678/aircraft/390005 altitude"
    now.aircraft[20].climb = -4000.0
    assert "/aircraft/390005 " in usual.of(now)[0]
    now.aircraft[5].airborne = False
    assert "/aircraft/390014 " in usual.of(now)[0]
    assert usual.of(Snapshot()) == ["curl http://127.0.0.1:9001/airspace"]


def test_the_screen_can_be_drawn_before_the_first_report() -> None:
    hints = Hints("http://127.0.0.1:9001")
    assert "none so far" in drawn(Screen("60×", simulated=False, total=284_505, hints=hints), Snapshot(), 80, 24)


def drawn(screen: Screen, now: Snapshot, width: int, height: int) -> str:
    console = Console(width=width, height=height, file=io.StringIO(), record=True, color_system=None)
    console.print(screen.render(now, 1612.4, width, height), height=height)
    return console.export_text(styles=False)
