"""Files as they come: their encodings, their ends, and what happens to them while they are read."""

import base64
import gzip
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from runs import one_twin_app, run, run_text

from shoal.errors import RunFailed


class Fix(msgspec.Struct):
    id: str
    x: int = 0


TWO = '{"id": "7", "x": 1}\n{"id": "8", "x": 2}\n'
TWINS = {"/thing/7": {"seen": 1, "x": 1}, "/thing/8": {"seen": 1, "x": 2}}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(TWO, id="plain"),
        pytest.param(TWO.rstrip("\n"), id="no last line end"),
        pytest.param(TWO.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(TWO.replace("\n", "\r\n").rstrip(), id="CRLF, no last line end"),
        pytest.param("\ufeff" + TWO, id="BOM"),
        pytest.param("\n\n" + TWO.replace("\n", "\n\n") + "  \n", id="blank lines"),
        pytest.param("  " + TWO.replace("\n", "\t \n"), id="blanks"),
    ],
)
def test_fine_without_complaint(text: str, tmp_path: Path) -> None:
    done = run_text(text, Fix, tmp_path)
    assert (done.counts.read, done.letters, done.twins) == (2, [], TWINS)


def test_blank_lines_count_as_lines(tmp_path: Path) -> None:
    assert run_text("\n\n{\n", Fix, tmp_path).positions == [3]


@pytest.mark.parametrize("text", ["", "\n", "\ufeff", "\r\n\r\n"])
@pytest.mark.parametrize("name", ["f.jsonl", "f.csv", "f.jsonl.gz"])
def test_an_empty_file_has_no_records(text: str, name: str, tmp_path: Path) -> None:
    data = text.encode()
    done = run_text(gzip.compress(data) if name.endswith(".gz") else data, Fix, tmp_path, name)
    assert (done.counts.read, done.counts.state, done.letters) == (0, "done", [])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["f.jsonl", "f.csv"])
def test_utf_16_is_named_and_no_record_of_it_is_applied(encoding: str, name: str, tmp_path: Path) -> None:
    done = run_text((TWO if name == "f.jsonl" else "id,x\n7,1\n").encode(encoding), Fix, tmp_path, name)
    assert (done.counts.applied, done.twins) == (0, {})
    assert f"{name} is UTF-16; convert it with iconv" in done.counts.state


def test_latin_1_is_dead_and_its_bytes_are_kept(tmp_path: Path) -> None:
    done = run_text('{"id": "7", "x": 1}\n{"id": "M\xfcller"}\n'.encode("latin-1"), Fix, tmp_path)
    (letter,) = done.letters
    assert (letter["position"], letter["kind"]) == (2, "invalid")
    assert letter["reason"] == "Invalid UTF-8 in string (byte 9)"
    assert base64.b64decode(letter["record_base64"]) == b'{"id": "M\xfcller"}'


def test_a_line_of_100_mb_is_dead_and_takes_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "f.jsonl"
    with file.open("wb") as out:
        out.write(b'{"id": "7", "x": 1}\n{"id": "')
        out.seek(100_000_000, os.SEEK_CUR)
        out.write(b'"}\n{"id": "8", "x": 2}\n')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = run(one_twin_app(file, Fix), tmp_path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert done.twins == TWINS
    (letter,) = done.letters
    assert letter["position"] == 2
    assert letter["reason"] == "line of 100000010 bytes is over the limit of 16777216"
    assert letter["record"].startswith('{"id": "\0\0')
    assert grown < 64_000
    assert (tmp_path / "dead.jsonl").stat().st_size < 1_000_000


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_cut_file_is_read_as_far_as_it_goes(suffix: str, tmp_path: Path) -> None:
    lines = "".join(json.dumps({"id": str(n), "x": n}) + "\n" for n in range(2_000)).encode()
    cut = gzip.compress(lines)[:-2_000] if suffix else lines[:-3]
    done = run_text(cut, Fix, tmp_path, f"f.jsonl{suffix}")
    assert 0 < done.counts.applied < 2_000
    assert len(done.twins) == done.counts.applied
    assert done.positions == [done.counts.applied + 1]
    if suffix:
        assert "ends in the middle of its gzip data, so records are missing" in done.counts.state
        assert done.reasons == ["the file ends in the middle of this line"]
    else:
        assert (done.counts.state, done.reasons) == ("done", ["Input data was truncated"])


def test_packing_is_seen_in_the_bytes_whatever_the_name(tmp_path: Path) -> None:
    assert run_text(TWO, Fix, tmp_path, "f.jsonl.gz").twins == TWINS
    assert run_text(gzip.compress(TWO.encode()), Fix, tmp_path).twins == TWINS


def test_a_gz_may_have_several_members(tmp_path: Path) -> None:
    first, second = (gzip.compress(f"{line}\n".encode()) for line in TWO.splitlines())
    assert run_text(first + second, Fix, tmp_path, "f.jsonl.gz").twins == TWINS


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """12 MB: more than a reader may read ahead."""
    file = tmp_path / "f.jsonl"
    file.write_text("".join(json.dumps({"id": str(n % 10), "x": n, "pad": "." * 380}) + "\n" for n in range(30_000)))
    return file


@pytest.mark.slow
def test_a_file_replaced_while_read_is_read_as_it_was(long: Path, tmp_path: Path) -> None:
    def where(fix: Fix) -> bool:
        if fix.x == 0:
            (tmp_path / "new").write_text(TWO)
            os.replace(tmp_path / "new", long)
        return True

    done = run(one_twin_app(long, Fix, where=where), tmp_path)
    assert (done.counts.applied, done.counts.state) == (30_000, "done")


@pytest.mark.slow
def test_a_file_cut_while_read_fails_the_source(long: Path, tmp_path: Path) -> None:
    def where(fix: Fix) -> bool:
        if fix.x == 0:
            os.truncate(long, 1_000)
        return True

    done = run(one_twin_app(long, Fix, where=where), tmp_path)
    assert 0 < done.counts.applied < 30_000
    assert "f.jsonl changed while it was read: it shrank from" in done.counts.state
    assert {letter["lane"] for letter in done.letters} == {"report"}


@pytest.mark.slow
def test_a_file_written_over_while_read_fails_the_source(long: Path, tmp_path: Path) -> None:
    size = long.stat().st_size

    def where(fix: Fix) -> bool:
        if fix.x == 0:
            long.write_bytes(b" " * size)
        return True

    done = run(one_twin_app(long, Fix, where=where), tmp_path)
    assert done.counts.applied < 30_000
    assert "f.jsonl changed while it was read" in done.counts.state


@pytest.mark.parametrize("name", ["none.jsonl", "f.xlsx", "f"])
def test_a_file_that_cannot_be_opened_stops_the_run_at_its_start(name: str, tmp_path: Path) -> None:
    if name != "none.jsonl":
        (tmp_path / name).write_text(TWO)
    with pytest.raises(RunFailed, match=name):
        run(one_twin_app(tmp_path / name, Fix), tmp_path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").mkdir()
    with pytest.raises(RunFailed, match="is a folder; name one file in it"):
        run(one_twin_app(tmp_path / "f.jsonl", Fix), tmp_path)


FULL = """
import resource, sys, signal
sys.path[:0] = [{tests!r}]
from pathlib import Path
from runs import one_twin_app, run
import msgspec
class Fix(msgspec.Struct):
    id: str
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
folder = Path({folder!r})
from shoal.errors import RunFailed
try:
    run(one_twin_app(folder / "f.jsonl", Fix), folder)
except RunFailed as error:
    print(error)
"""


@pytest.mark.slow
def test_a_disk_that_becomes_full_stops_the_run_and_every_line_is_whole(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text("{\n" * 5_000)
    program = FULL.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "cannot be written to" in done.stdout, done.stderr
    assert "File too large; reached " in done.stdout
    *lines, _ = (tmp_path / "dead.jsonl").read_text().split("\n")
    assert [json.loads(line)["position"] for line in lines] == list(range(1, len(lines) + 1))
    assert 100 < len(lines) < 5_000
