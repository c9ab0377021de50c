import base64
import hashlib
import json
from pathlib import Path

import pytest

from shoal import dead_letters
from shoal._core import DeadLetter
from shoal.dead_letters import KEPT_OF_LONGER, DeadLetterFile, line_of
from shoal.errors import RunFailed


def letter(record: bytes = b'{"id": 7}', sequence: int = 3, time: int = 1_700_000_000_000_000) -> DeadLetter:
    return DeadLetter(
        origin="fixes.jsonl",
        sequence=sequence,
        time=time,
        node="/bus/7",
        lane="report",
        kind="invalid",
        reason="Expected `str`, got `int` - at `$.id`",
        record=record,
    )


def test_a_letter_is_one_line_of_json() -> None:
    line = line_of(letter())
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20+00:00",
        "origin": "fixes.jsonl",
        "position": 3,
        "node": "/bus/7",
        "lane": "report",
        "kind": "invalid",
        "reason": "Expected `str`, got `int` - at `$.id`",
        "record": '{"id": 7}',
    }


def test_a_record_with_line_breaks_stays_on_one_line() -> None:
    line = line_of(letter(b'7,"a\nb\r\n"'))
    assert line.count(b"\n") == 1
    assert json.loads(line)["record"] == '7,"a\nb\r\n"'


def test_bytes_that_are_no_text_are_base64() -> None:
    line = json.loads(line_of(letter(b"\xff\x00")))
    assert base64.b64decode(line["record_base64"]) == b"\xff\x00"
    assert "record" not in line


@pytest.mark.parametrize("record", [b"x" * 3_000_000, b"x" + "µ".encode() * 1_500_000])
def test_a_long_record_is_kept_by_its_beginning_length_and_hash(record: bytes) -> None:
    line = json.loads(line_of(letter(record)))
    assert line["record_bytes"] == len(record)
    assert line["record_sha256"] == hashlib.sha256(record).hexdigest()
    kept = line["record"].encode()
    assert record.startswith(kept)
    assert KEPT_OF_LONGER - 4 < len(kept) <= KEPT_OF_LONGER


def test_a_time_that_no_calendar_has_is_null() -> None:
    assert json.loads(line_of(letter(time=-(2**63))))["time"] is None


def test_no_letter_makes_no_file(tmp_path: Path) -> None:
    file = DeadLetterFile(tmp_path / "folder" / "app.jsonl")
    file.close()
    assert list(tmp_path.iterdir()) == []


def test_letters_are_appended_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "app.jsonl"
    for run in range(2):
        file = DeadLetterFile(path)
        assert file.start == (path.stat().st_size if run else 0)
        file.add([letter(sequence=1), letter(sequence=2)])
        file.close()
        assert file.written == 2
    assert [json.loads(line)["position"] for line in path.read_bytes().splitlines()] == [1, 2, 1, 2]


def test_letters_wait_a_moment_for_company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(dead_letters.time, "monotonic", lambda: now)
    file = DeadLetterFile(tmp_path / "app.jsonl")
    file.add([letter()])
    assert file.waiting
    assert not file.path.exists()
    now = 100.1
    file.add([letter()])
    assert not file.waiting
    assert file.path.read_bytes().count(b"\n") == 2
    file.close()


def test_many_bytes_do_not_wait(tmp_path: Path) -> None:
    file = DeadLetterFile(tmp_path / "app.jsonl")
    file.add([letter(b"x" * 100_000)] * 30)
    assert file.path.stat().st_size > 2_500_000
    file.close()
    assert file.path.read_bytes().count(b"\n") == 30


def test_a_full_disk_stops_the_run_and_says_where_it_was() -> None:
    file = DeadLetterFile(Path("/dev/full"))
    file.add([letter(sequence=41), letter(sequence=42)])
    with pytest.raises(
        RunFailed, match=r"2 dead letters cannot be written to /dev/full: No space left.*fixes.jsonl at 42"
    ):
        file.flush()
    assert file.written == 0


def test_a_folder_that_cannot_be_made_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file = DeadLetterFile(tmp_path / "file" / "app.jsonl")
    file.add([letter()])
    with pytest.raises(RunFailed, match="1 dead letter cannot be written"):
        file.flush()
