"""``shoal store``: stores looked after from the command line, whole ones, damaged ones and ones in use."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from kept import METERS, expected, exported, readings, running, shoal, write

pytestmark = pytest.mark.slow
ONCE = ("run", "meters.py", "--once", "--store", "state")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of two runs: two checkpoints, records between them."""
    folder = tmp_path_factory.mktemp("made")
    for count in (500, 800):
        write(folder, readings(count))
        shoal(folder, *ONCE)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "work"
    shutil.copytree(made, copy)
    return copy


def records(folder: Path) -> int:
    with sqlite3.connect(folder / "state" / "journal.sqlite") as journal:
        (count,) = journal.execute("SELECT count(*) FROM records").fetchone()
    journal.close()
    return int(count)


def spoil(path: Path, at: int) -> None:
    """Flips a bit."""
    spoilt = bytearray(path.read_bytes())
    spoilt[at] ^= 4
    path.write_bytes(spoilt)


def spoil_newest_record(folder: Path) -> None:
    journal = folder / "state" / "journal.sqlite"
    with sqlite3.connect(journal) as opened:
        (body,) = opened.execute("SELECT body FROM records ORDER BY id DESC LIMIT 1").fetchone()
    opened.close()
    spoil(journal, journal.read_bytes().rindex(body[-40:]))


# -- check


def test_a_whole_store_is_told(folder: Path) -> None:
    lines = shoal(folder, "store", "check", "state").stdout.splitlines()
    assert lines[0] == "app meters"
    assert lines[1].startswith("records ")
    assert [line.split(",")[0] for line in lines[2:4]] == ["checkpoint 2", "checkpoint 1"]
    assert lines[-1] == "whole: all is as it was written"


def test_a_damaged_record_is_found_by_check_and_by_a_run(folder: Path) -> None:
    spoil_newest_record(folder)
    done = shoal(folder, "store", "check", "state", code=1)
    assert "state: the store is damaged: record 2 of shard 0" in done.stderr
    assert "`shoal store repair state`" in done.stderr
    assert "whole" not in done.stdout


def test_a_damaged_file_of_a_checkpoint_is_found(folder: Path) -> None:
    (file, *_) = sorted((folder / "state" / "checkpoints").glob("*2/Meter-*.arrow"))
    spoil(file, file.stat().st_size // 2)
    done = shoal(folder, "store", "check", "state", code=1)
    assert f"checkpoints/{file.parent.name}/{file.name}: its checksum is another" in done.stderr
    refused = shoal(folder, *ONCE, code=2)
    assert f"{file.name} is damaged" in refused.stderr


# -- repair


def test_a_whole_store_needs_no_repair(folder: Path) -> None:
    before = (folder / "state" / "journal.sqlite").read_bytes()
    assert shoal(folder, "store", "repair", "state").stdout == "nothing is damaged, and nothing was changed\n"
    assert (folder / "state" / "journal.sqlite").read_bytes() == before


def test_a_checkpoint_that_is_damaged_costs_nothing(folder: Path) -> None:
    (file, *_) = sorted((folder / "state" / "checkpoints").glob("*2/Meter-*.arrow"))
    spoil(file, file.stat().st_size // 2)
    told = shoal(folder, "store", "repair", "state").stdout
    assert "kept: all up to record 2, from checkpoint 1 on\n" in told
    assert "lost" not in told
    assert exported(folder) == expected(readings(800))
    assert "800 read = 800 applied" in shoal(folder, *ONCE).stdout


def test_what_is_lost_is_told_and_read_again(folder: Path) -> None:
    # both what the newest record holds, and the checkpoint that stands for it
    spoil_newest_record(folder)
    (file, *_) = sorted((folder / "state" / "checkpoints").glob("*2/Meter-*.arrow"))
    spoil(file, file.stat().st_size // 2)
    done = shoal(folder, "store", "repair", "state", code=1)
    assert "kept: all up to record 1, from checkpoint 1 on\n" in done.stdout
    assert "lost: record 2 (written until " in done.stdout
    assert "the damaged file is kept: state/journal.damaged-1.sqlite\n" in done.stdout
    assert "note: the checkpoint at record 2 has damaged files" in done.stdout
    assert shoal(folder, "store", "check", "state").stdout.endswith("whole: all is as it was written\n")
    assert exported(folder) == expected(readings(500))
    # the file's position is part of the state: what was lost is read again
    shoal(folder, *ONCE)
    assert exported(folder) == expected(readings(800))


# -- compact


def test_compacting_keeps_the_state(folder: Path) -> None:
    orphan = folder / "state" / "checkpoints" / "000000000099"
    orphan.mkdir()
    (orphan / "Meter-0000.arrow").write_bytes(b"x" * 1000)
    assert "of no checkpoint: checkpoints/000000000099" in shoal(folder, "store", "check", "state").stdout
    told = shoal(folder, "store", "compact", "state").stdout
    assert told.startswith("removed checkpoints/000000000099, which no checkpoint had\njournal.sqlite: ")
    assert not orphan.exists()
    assert exported(folder) == expected(readings(800))


# -- export


def test_the_state_is_exported_without_the_app(folder: Path) -> None:
    (folder / "meters.py").unlink()
    told = shoal(folder, "store", "export", "state", "out").stdout
    assert told.startswith("out: 8 twins in 3 files, ")
    assert told.endswith("; the state at record 2\n")
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "Meter-0000.arrow",
        "Meter.hours-0000.arrow",
        "Town-0000.arrow",
    ]
    meters = pl.read_ipc(folder / "out" / "Meter-0000.arrow")
    want = expected(readings(800))
    assert dict(meters.select("uri", "total").iter_rows()) == {
        uri: lanes["total"] for uri, lanes in want.items() if "meter" in uri
    }
    assert meters.filter(pl.col("uri") == "/meter/3")["_last"].to_list() == [want["/meter/3"]["_last"]]


def test_an_export_holds_what_no_checkpoint_does(folder: Path) -> None:
    write(folder, readings(900))
    with running(folder, "--store", "state") as run:
        run.until(lambda: run.has_saved(readings(900)))
        run.process.kill()
        run.process.wait(30)
        run.process.returncode = 0
    for form in ("arrow", "jsonl"):
        told = shoal(folder, "store", "export", "state", form, "--format", form).stdout
        assert int(told.split("record ")[1]) > 2
    assert exported(folder) == expected(readings(900))
    total = pl.read_ipc(folder / "arrow" / "Town-0000.arrow")["total"].to_list()
    assert total == [expected(readings(900))["/town"]["total"]]


def test_a_lane_named_uri_stands_beside_the_twins_own(tmp_path: Path) -> None:
    own = '    uri_ = Value(str, "its own", name="uri")\n'
    write(tmp_path, readings(3), METERS.replace("    _last =", f"{own}    _last ="))
    shoal(tmp_path, *ONCE)
    twins = exported(tmp_path)
    (name,) = [name for name in twins["/meter/1"] if name.startswith("uri~")]
    assert twins["/meter/1"][name] == "its own"


def test_an_empty_store_is_exported_too(folder: Path) -> None:
    write(folder, [])
    shoal(folder, "run", "meters.py", "--once", "--store", "empty")
    for form in ("arrow", "jsonl"):
        assert "0 twins" in shoal(folder, "store", "export", "empty", form, "--format", form).stdout


# -- backup


def test_a_store_that_nobody_runs_is_copied(folder: Path) -> None:
    told = shoal(folder, "store", "backup", "state", "deep/copy").stdout
    assert told.startswith(f"{folder}/deep/copy: all records up to 2\n")
    assert told.endswith("restore it with: shoal run APP.PY --store deep/copy\n")
    shutil.rmtree(folder / "state")
    write(folder, readings(850))
    shoal(folder, "run", "meters.py", "--once", "--store", "deep/copy")
    assert exported(folder, "deep/copy") == expected(readings(850))


def test_a_copy_that_was_cut_off_is_no_hindrance(folder: Path) -> None:
    (folder / "copy.tmp" / "checkpoints" / "000000000001").mkdir(parents=True)
    shoal(folder, "store", "backup", "state", "copy")
    assert sorted(path.name for path in folder.glob("copy*")) == ["copy"]
    assert exported(folder, "copy") == expected(readings(800))


def test_a_running_store_is_copied_and_goes_on_elsewhere(tmp_path: Path) -> None:
    """Under load: what was copied is the state of one moment, and from it a run comes to the same end."""
    # 4,000 events a second for three seconds
    all_of_them = readings(12_000, meters=50, per_second=4_000)
    program = METERS.replace('speed="max"', "speed=1")
    write(tmp_path, all_of_them, program)
    copies = ["first", "second"]
    with running(tmp_path, "--store", "state") as run:
        run.until(lambda: run.get("/")["journal"]["durable"] >= 3)
        for copy in copies:
            before = run.get("/")["journal"]["durable"]
            told = shoal(tmp_path, "store", "backup", "state", copy).stdout
            assert before <= int(told.split("up to ")[1].split()[0]) <= run.get("/")["journal"]["durable"]
        assert run.reports("0") < 240, "the load is over before the backup was made"
        run.until(lambda: run.has_saved(all_of_them))
        run.end()
    end = expected(all_of_them)
    assert exported(tmp_path) == end
    for copy in copies:
        assert shoal(tmp_path, "store", "check", copy).stdout.endswith("whole: all is as it was written\n")
        then = exported(tmp_path, copy)
        applied = sum(meter.get("reports", 0) for meter in then.values())
        assert 0 < applied < 12_000
        assert without_town(then) == without_town(expected(all_of_them[:applied]))
        done = shoal(tmp_path, "run", "meters.py", "--once", "--speed", "max", "--store", copy)
        assert "12,000 read = 12,000 applied" in done.stdout
        assert exported(tmp_path, copy) == end


def without_town(twins: dict[str, Any]) -> dict[str, Any]:
    """A town learns of its meters at the end of a commit, perhaps in the next record."""
    return {uri: lanes for uri, lanes in twins.items() if uri != "/town"}


def test_a_backup_that_the_run_cannot_make_is_told(folder: Path) -> None:
    (folder / "file").write_text("")
    with running(folder, "--store", "state") as run:
        done = shoal(folder, "store", "backup", "state", "file/copy", code=3)
        assert f"{folder}/file/copy" in done.stderr
        # and the run goes on
        assert run.get("/meter/1")["reports"]
        shoal(folder, "store", "backup", "state", "copy")


# -- refused


@pytest.mark.parametrize("words", [("check",), ("compact",), ("repair",), ("export", "TO"), ("backup", "TO")])
def test_what_is_no_store_is_left_alone(words: tuple[str, ...], tmp_path: Path) -> None:
    command, *more = words
    done = shoal(tmp_path, "store", command, "nowhere", *more, code=2)
    assert done.stderr == "shoal: nowhere: there is no such folder\n"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").touch()
    done = shoal(tmp_path, "store", command, "other", *more, code=2)
    assert done.stderr == ("shoal: other is no store: it has no journal.sqlite; name the folder of shoal run --store\n")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["x"]


def test_what_is_in_use_is_left_alone_and_the_way_out_is_named(folder: Path) -> None:
    with running(folder, "--store", "state") as run:
        for words in (["check", "state"], ["compact", "state"], ["repair", "state"], ["export", "state", "to"]):
            done = shoal(folder, "store", *words, code=3)
            assert done.stderr == (
                f"shoal: state: process {run.process.pid} is using this store: stop it first, or "
                "`shoal store backup state COPY` and look at the copy\n"
            )
    assert not (folder / "to").exists()


@pytest.mark.parametrize("command", ["export", "backup"])
def test_nothing_is_written_where_something_is(command: str, folder: Path) -> None:
    for name in ("a folder", "a file"):
        to = folder / name
        if name == "a folder":
            to.mkdir()
            (to / "letter.txt").write_text("Dear")
        else:
            to.write_text("Dear")
        done = shoal(folder, "store", command, "state", name, code=2)
        assert done.stderr == f"shoal: {name} is there already: name a new folder, or an empty one\n"
    assert (folder / "a folder" / "letter.txt").read_text() == "Dear"
    (folder / "empty").mkdir()
    shoal(folder, "store", command, "state", "empty")


def test_without_a_word_what_can_be_done_is_told(tmp_path: Path) -> None:
    done = shoal(tmp_path, "store", code=2)
    assert "  backup   copy it, also while a run has it\n" in done.stderr
    for command in ("check", "backup", "export", "compact", "repair"):
        told = shoal(tmp_path, "store", command, "--help").stdout
        assert len(told.splitlines()) < 24
        assert f"  shoal store {command} state" in told
        assert "exit code: 0 done, 1 damaged or lost, 2 no store there, 3 failed" in told


def test_a_store_of_a_newer_version_is_not_touched(folder: Path) -> None:
    journal = folder / "state" / "journal.sqlite"
    with sqlite3.connect(journal) as opened:
        opened.execute("PRAGMA user_version = 99")
    opened.close()
    before = journal.read_bytes()
    for words in (["check"], ["compact"], ["repair"], ["export", "to"], ["backup", "to"]):
        done = shoal(folder, "store", words[0], "state", *words[1:], code=3)
        assert "written in format 99 by a newer Shoal" in done.stderr
    assert journal.read_bytes() == before


def test_the_answer_to_a_request_is_json(folder: Path) -> None:
    import socket

    with running(folder, "--store", "state"):
        for request, answer in (
            ('{"backup": "relative"}', "relative is no absolute path"),
            ("backup please", "no request: "),
            ("x" * 20_000, "no request: "),
        ):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
                made.settimeout(30)
                made.connect(str(folder / "state" / "control"))
                made.sendall(request.encode() + b"\n")
                told = json.loads(made.makefile().readline())
            assert told["failed"].startswith(answer), told
