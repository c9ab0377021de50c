"""``shoal run --store``: what it says, what it keeps, and what it refuses."""

import json
import os
import re
import stat
from pathlib import Path

import pytest
from kept import METERS, expected, exported, readings, running, shoal, write

pytestmark = pytest.mark.slow
ONCE = ("run", "meters.py", "--once", "--store", "state")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, readings(500))
    return tmp_path


def test_a_run_goes_on_with_what_the_one_before_has_left(folder: Path) -> None:
    first = shoal(folder, *ONCE)
    assert "shoal: store state: new\n" in first.stderr
    assert re.search(r"^store state: \d+ records?, [\d.]+ (?:bytes|kB), checkpoint \d+$", first.stdout, re.MULTILINE)
    write(folder, readings(800))
    second = shoal(folder, *ONCE)
    assert re.search(
        r"^shoal: store state: 8 twins in [\d.]+ s \(checkpoint \d+, 0 records behind it\)$",
        second.stderr,
        re.MULTILINE,
    )
    assert "readings.jsonl: 800 read = 800 applied + 0 filtered + 0 dead-lettered + 0 waiting" in second.stdout
    assert exported(folder) == expected(readings(800))


def test_the_rate_is_that_of_this_run(folder: Path) -> None:
    shoal(folder, *ONCE)
    assert "8 twins, 0 events/s" in shoal(folder, *ONCE).stdout


def test_a_list_is_not_applied_twice(folder: Path) -> None:
    program = METERS.replace('"readings.jsonl"', f"{[tuple(r.values()) for r in readings(30)]}")
    program = program.replace("app.ingest([", "app.ingest([Reading(*r) for r in [").replace("], Meter", "]], Meter")
    program = program.replace(', time="at", speed="max"', "")
    (folder / "meters.py").write_text(program)
    for _ in range(2):
        shoal(folder, *ONCE)
        assert exported(folder) == expected(readings(30))


def test_without_a_store_the_start_says_that_nothing_is_saved(folder: Path) -> None:
    with running(folder) as run:
        run.until(lambda: "shoal: nothing is saved: give --store DIR to keep the state\n" in run.errors)
        assert "journal" not in run.get("/")
    assert "saved" not in shoal(folder, "run", "meters.py", "--once").stderr


def test_a_server_tells_how_its_journal_is_doing(folder: Path) -> None:
    with running(folder, "--store", "state") as run:
        run.until(lambda: run.has_saved(readings(500)))
        journal = run.get("/")["journal"]
    assert journal["records"] == journal["durable"] > 0
    assert 0 < journal["transactions"] <= journal["records"]
    assert journal["bytes"] == journal["kept_bytes"] > 0
    assert (journal["risk_seconds"], journal["paused"], journal["problem"]) == (0.0, False, None)


def test_a_store_is_one_runs_at_a_time(folder: Path) -> None:
    with running(folder, "--store", "state") as run:
        refused = shoal(folder, *ONCE, code=2)
        assert f"process {run.process.pid} is using this store; stop it first" in refused.stderr
        assert refused.stdout == ""


def test_a_store_of_another_app_is_refused(folder: Path) -> None:
    shoal(folder, *ONCE)
    (folder / "meters.py").write_text(METERS.replace('App("meters")', 'App("buses")'))
    assert 'the store of the app "meters", not of "buses"' in shoal(folder, *ONCE, code=2).stderr


def test_a_lane_that_is_gone_must_be_forgotten_by_name(folder: Path) -> None:
    shoal(folder, *ONCE)
    (folder / "meters.py").write_text(METERS.replace("    reports = Count(report)\n", ""))
    assert "--forget Meter.reports" in shoal(folder, *ONCE, code=2).stderr
    shoal(folder, *ONCE, "--forget", "Meter.reports")
    shoal(folder, *ONCE)
    assert "reports" not in exported(folder)["/meter/1"]


def test_what_may_be_forgotten_is_of_a_store(folder: Path) -> None:
    refused = shoal(folder, "run", "meters.py", "--once", "--forget", "Meter", code=2)
    assert refused.stderr == "shoal: --forget says what of a store may go: give its folder, too, with --store DIR\n"


def test_twins_without_a_program_have_no_store(folder: Path) -> None:
    refused = shoal(folder, "twin", "readings.jsonl", "--store", "state", code=2)
    assert "shoal twin readings.jsonl --eject app.py\n" in refused.stderr
    assert "shoal run app.py --store state" in refused.stderr
    assert not (folder / "state").exists()


def test_a_folder_that_cannot_be_a_store_is_refused(folder: Path) -> None:
    (folder / "state").mkdir()
    (folder / "state" / "letter.txt").write_text("Dear")
    refused = shoal(folder, *ONCE, code=2)
    assert "not a store, and not empty (it holds letter.txt)" in refused.stderr
    assert os.listdir(folder / "state") == ["letter.txt"]


def test_a_program_may_have_a_store_of_its_own(folder: Path) -> None:
    with (folder / "meters.py").open("a") as file:
        file.write('\nif __name__ == "__main__":\n    app.run(port=0, store="state")\n')
    with running(folder, command=["meters.py"]) as run:
        run.until(lambda: run.has_saved(readings(500)))
    assert exported(folder) == expected(readings(500))


# -- the socket


def test_the_socket_is_its_owners_and_goes_with_the_run(folder: Path) -> None:
    control = folder / "state" / "control"
    with running(folder, "--store", "state"):
        found = control.stat()
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o600
    assert not control.exists()


def test_a_socket_that_a_killed_run_has_left_is_replaced(folder: Path) -> None:
    with running(folder, "--store", "state") as run:
        run.process.kill()
        run.process.wait(30)
        assert (folder / "state" / "control").exists()
        run.process.returncode = 0
    with running(folder, "--store", "state"):
        assert "all records up to" in shoal(folder, "store", "backup", "state", "copy").stdout


def test_a_path_longer_than_a_sockets_address_is_no_hindrance(folder: Path) -> None:
    store = "s" * 120
    with running(folder, "--store", store) as run:
        run.until(lambda: run.has_saved(readings(500)))
        assert "cannot be made" not in run.errors
        shoal(folder, "store", "backup", store, "copy")
    assert exported(folder, "copy") == expected(readings(500))


def test_a_run_does_without_a_socket(folder: Path) -> None:
    shoal(folder, *ONCE)
    (folder / "state" / "control" / "in the way").mkdir(parents=True)
    done = shoal(folder, *ONCE)
    assert (
        "control cannot be made (Is a directory): this store can be backed up only while no run has it" in done.stderr
    )


def test_dead_letters_of_a_store_are_written_once(folder: Path) -> None:
    with (folder / "readings.jsonl").open("a") as file:
        file.write('{"id": "1"}\n')
    for _ in range(2):
        done = shoal(folder, *ONCE)
        assert "501 read = 500 applied + 0 filtered + 1 dead-lettered" in done.stdout
        letters = (folder / "dead-letters" / "meters.jsonl").read_text().splitlines()
        assert [json.loads(letter)["number"] for letter in letters] == [1]
