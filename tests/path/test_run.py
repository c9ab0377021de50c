"""Whole ``shoal run`` processes: what a user types, and what stands on the terminal and in the files afterwards."""

import gzip
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE

import pytest

pytestmark = pytest.mark.slow

PACKAGE = str(Path(__file__).resolve().parents[2] / "python" / "shoal")

FLEET = """
import msgspec
from shoal import App, Command, Count, Latest, Max, Members, Reject, Twin

class Settings(msgspec.Struct, frozen=True):
    limit: float = 100.0

app = App("fleet", config=Settings)

class Fix(msgspec.Struct):
    id: str
    speed: float

@app.twin("/bus/{id}")
class Bus(Twin):
    report = Command(Fix)
    speed = Latest(report.body.speed)
    reports = Count(report)

    @report.handler
    def on_report(self, fix: Fix) -> None:
        if fix.speed > app.config.limit:
            raise Reject(f"{fix.speed} is over {app.config.limit}")
        if fix.speed == 13:
            raise RuntimeError("thirteen")
        if fix.speed == 0:
            print(f"{self.uri} stands still", flush=True)

    def on_stop(self) -> None:
        print(f"{self.uri} stops", flush=True)

@app.twin("/city")
class City(Twin):
    buses = Members(Bus)
    fastest = Max(Bus.speed, over=buses)

app.ingest("fixes.jsonl", Bus.report)
"""

Shoal = Callable[..., "subprocess.CompletedProcess[str]"]


def environment() -> dict[str, str]:
    return {**os.environ, "NO_COLOR": "1", "PYTHONWARNINGS": "error", "COLUMNS": "120"}


@pytest.fixture
def shoal(tmp_path: Path) -> Shoal:
    def run(*arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "shoal.cli", *arguments],
            cwd=tmp_path,
            env={**environment(), **more},
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    return run


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    (tmp_path / "fleet.py").write_text(FLEET)
    return tmp_path


def write(folder: Path, *records: object, name: str = "fixes.jsonl") -> None:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    (folder / name).write_text("".join(f"{line}\n" for line in lines))


def letters(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_once_ends_with_the_closing_line(fleet: Path, shoal: Shoal) -> None:
    write(fleet, {"id": "7", "speed": 31.5}, {"id": "8", "speed": 30}, {"id": "7", "speed": 29.5})
    done = shoal("run", "fleet.py", "--once")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["/bus/7 stops", "/bus/8 stops"]
    assert lines[2] == "fixes.jsonl: 3 read = 3 applied + 0 filtered + 0 dead-lettered + 0 waiting"
    assert lines[3].startswith("between twins: ")
    assert lines[4].startswith("3 twins, ")
    assert len(lines) == 5
    assert not (fleet / "dead-letters").exists()


def test_what_cannot_be_applied_is_in_the_dead_letter_file(fleet: Path, shoal: Shoal) -> None:
    write(fleet, {"id": "7", "speed": 31.5}, "{", {"id": "7", "speed": "fast"}, {"id": "7", "speed": 101}, {"speed": 1})
    done = shoal("run", "fleet.py", "--once")
    assert done.returncode == 0, done.stderr
    assert "5 read = 1 applied + 0 filtered + 4 dead-lettered + 0 waiting" in done.stdout
    assert "4 dead letters in dead-letters/fleet.jsonl" in done.stdout
    found = letters(fleet / "dead-letters" / "fleet.jsonl")
    assert [letter["position"] for letter in found] == [2, 3, 4, 5]
    assert [letter["kind"] for letter in found] == ["invalid", "invalid", "rejected", "invalid"]
    assert {letter["origin"] for letter in found} == {"fixes.jsonl"}
    assert found[1]["record"] == '{"id": "7", "speed": "fast"}'
    assert "Expected `float`, got `str`" in str(found[1]["reason"])
    assert (found[2]["node"], found[2]["lane"]) == ("/bus/7", "report")
    assert found[2]["reason"] == "101.0 is over 100.0"
    again = shoal("run", "fleet.py", "--once")
    assert "dead letters are appended to dead-letters/fleet.jsonl" in again.stderr
    assert len(letters(fleet / "dead-letters" / "fleet.jsonl")) == 8


def test_strict_stops_at_the_first_dead_letter_and_shows_it(fleet: Path, shoal: Shoal) -> None:
    write(fleet, {"id": "7", "speed": 31.5}, {"id": "7", "speed": "fast"}, {"id": "7", "speed": 3})
    done = shoal("run", "fleet.py", "--once", "--strict")
    assert done.returncode == 1
    assert "stopped at the first dead letter, fixes.jsonl:2" in done.stderr
    assert "Expected `float`, got `str`" in done.stderr
    assert '{"id": "7", "speed": "fast"}' in done.stderr
    assert letters(fleet / "dead-letters" / "fleet.jsonl")[0]["position"] == 2


def test_strict_without_dead_letters_is_done(fleet: Path, shoal: Shoal) -> None:
    write(fleet, {"id": "7", "speed": 31.5})
    assert shoal("run", "fleet.py", "--once", "--strict").returncode == 0


def test_a_handler_that_raises_is_shown_once_with_the_users_line(fleet: Path, shoal: Shoal) -> None:
    write(fleet, *[{"id": "7", "speed": 13}] * 3)
    done = shoal("run", "fleet.py", "--once")
    assert done.returncode == 0
    assert done.stderr.count('raise RuntimeError("thirteen")') == 1
    assert "/bus/7" in done.stderr
    assert "fleet.py" in done.stderr
    assert PACKAGE not in done.stderr
    assert "3 × RuntimeError at fleet.py:" in done.stderr
    assert "3 dead-lettered" in done.stdout


def test_config_is_taken_from_the_command_line_then_environment_then_toml(fleet: Path, shoal: Shoal) -> None:
    write(fleet, *[{"id": "7", "speed": speed} for speed in (15, 25, 35)])
    (fleet / "fleet.toml").write_text("[config]\nlimit = 30\n")

    def dead(*arguments: str, **more: str) -> int:
        out = shoal("run", "fleet.py", "--once", *arguments, **more).stdout
        return int(out.split(" dead-lettered")[0].rsplit(" ", 1)[1])

    assert dead() == 1
    assert dead(FLEET_LIMIT="20") == 2
    assert dead("--set", "limit=10", FLEET_LIMIT="20") == 3
    (fleet / "fleet.toml").unlink()
    assert dead() == 0


@pytest.mark.usefixtures("fleet")
def test_a_wrong_config_is_named_and_nothing_runs(shoal: Shoal) -> None:
    done = shoal("run", "fleet.py", "--set", "limit=much")
    assert done.returncode == 2
    assert "`limit`" in done.stderr
    assert "--set limit=much" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_full_disk_under_the_dead_letters_stops_the_run(fleet: Path, shoal: Shoal) -> None:
    write(fleet, "{", *[{"id": "7", "speed": 1}] * 10)
    done = shoal("run", "fleet.py", "--port", "0", "--dead-letters", "/dev/full")
    assert done.returncode == 3
    assert "/dev/full: No space left on device; reached fixes.jsonl at 1" in done.stderr
    assert "Traceback" not in done.stderr
    assert "dead-lettered" in done.stdout


def test_a_cut_gz_is_read_as_far_as_it_goes_and_fails_the_run(fleet: Path, shoal: Shoal) -> None:
    (fleet / "fleet.py").write_text(FLEET.replace('"fixes.jsonl"', '"fixes.jsonl.gz"'))
    noise = [os.urandom(40).hex() for _ in range(400)]
    packed = gzip.compress("".join(json.dumps({"id": n, "speed": 1}) + "\n" for n in noise).encode())
    (fleet / "fixes.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    done = shoal("run", "fleet.py", "--once")
    assert done.returncode == 3
    assert "shoal: fixes.jsonl.gz: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("fleet")
def test_a_file_that_is_not_there_is_said_before_anything_runs(shoal: Shoal) -> None:
    done = shoal("run", "fleet.py", "--once")
    assert done.returncode == 3
    assert "fixes.jsonl" in done.stderr
    assert "Traceback" not in done.stderr


def test_iterables_are_sources(fleet: Path, shoal: Shoal) -> None:
    source = '({"id": str(n % 10), "speed": 1.0 * n} for n in range(10_000))'
    (fleet / "fleet.py").write_text(FLEET.replace('"fixes.jsonl"', source).replace("100.0", "1e9"))
    done = shoal("run", "fleet.py", "--once")
    assert done.returncode == 0, done.stderr
    assert "records: 10,000 read = 9,999 applied + 0 filtered + 1 dead-lettered + 0 waiting" in done.stdout
    assert "11 twins" in done.stdout


def test_watched_twins_are_printed_at_the_end_where_there_is_no_terminal(fleet: Path, shoal: Shoal) -> None:
    write(fleet, {"id": "7", "speed": 31.5}, {"id": "8", "speed": 30})
    done = shoal("run", "fleet.py", "--once", "--watch", "/city", "--watch", "/bus/*", "--watch", "/bus/9")
    assert done.returncode == 0, done.stderr
    assert "fastest" in done.stderr
    assert "31.5" in done.stderr
    assert "/bus/8" in done.stderr
    assert "/bus/9  not there yet" in done.stderr


def test_watching_what_no_class_has_is_a_mistake(fleet: Path, shoal: Shoal) -> None:
    write(fleet)
    done = shoal("run", "fleet.py", "--once", "--watch", "/tram/*")
    assert done.returncode == 2
    assert "--watch /tram/*: no twin class has such an address; there are /bus/{id}, /city" in done.stderr


def test_a_replay_keeps_its_pace(fleet: Path, shoal: Shoal) -> None:
    (fleet / "fleet.py").write_text(FLEET.replace("Bus.report)", 'Bus.report, time="t", speed=60)'))
    write(fleet, *[{"id": "7", "speed": 1, "t": 1_700_000_000 + t} for t in (0, 6, 12)])

    def seconds(*arguments: str) -> float:
        done = shoal("run", "fleet.py", "--once", *arguments)
        assert "3 applied" in done.stdout, done.stderr
        return float(done.stdout.split(" events/s, ")[1].split(" s")[0])

    assert seconds() >= 0.2
    assert seconds("--speed", "max") < 0.2


def line_of(process: "subprocess.Popen[str]") -> str:
    """The next line that it prints, or "" after a while."""
    assert process.stdout is not None
    return process.stdout.readline() if select.select([process.stdout], [], [], 20)[0] else ""


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    once = "--once" in arguments
    process = subprocess.Popen(
        [sys.executable, "-m", "shoal.cli", "run", *arguments, *([] if once else ["--port", "0"])],
        cwd=folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert once or line_of(process).startswith("serving http://127.0.0.1:")
    return process


@pytest.fixture
def from_stdin(fleet: Path) -> Iterator["subprocess.Popen[str]"]:
    (fleet / "fleet.py").write_text(FLEET.replace('"fixes.jsonl"', '"-"'))
    with start(fleet, "fleet.py") as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_cleanly(from_stdin: "subprocess.Popen[str]", number: signal.Signals) -> None:
    assert from_stdin.stdin is not None
    # a pipe that stays open: what is written must arrive without an end of file
    from_stdin.stdin.write('{"id": "7", "speed": 1}\n{"id": "7", "speed": 0}\n')
    from_stdin.stdin.flush()
    assert line_of(from_stdin) == "/bus/7 stands still\n"
    from_stdin.send_signal(number)
    out, error = from_stdin.communicate(timeout=20)
    assert from_stdin.returncode == 0, error
    assert out.splitlines()[:2] == [
        "/bus/7 stops",
        "stdin: 2 read = 2 applied + 0 filtered + 0 dead-lettered + 0 waiting",
    ]
    assert "Traceback" not in error


def test_a_program_may_run_its_own_app(fleet: Path) -> None:
    program = FLEET.replace('"fixes.jsonl"', '"-"') + "\nif __name__ == '__main__':\n    app.run(port=0)\n"
    (fleet / "fleet.py").write_text(program)
    (fleet / "fleet.toml").write_text("[config]\nlimit = 3\n")
    command = [sys.executable, "fleet.py"]
    with subprocess.Popen(
        command, cwd=fleet, env=environment(), stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert line_of(process).startswith("serving http://127.0.0.1:")
        process.stdin.write('{"id": "7", "speed": 4}\n{"id": "7", "speed": 0}\n')
        process.stdin.flush()
        assert line_of(process) == "/bus/7 stands still\n"
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=20)
    assert process.returncode == 0, error
    assert "stdin: 2 read = 1 applied + 0 filtered + 1 dead-lettered" in out
    (fleet / "fleet.toml").write_text("[config]\nlimt = 3\n")
    done = subprocess.run(
        command, cwd=fleet, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "did you mean `limit`?" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_end_of_stdin_ends_once(fleet: Path) -> None:
    (fleet / "fleet.py").write_text(FLEET.replace('"fixes.jsonl"', '"-"'))
    with start(fleet, "fleet.py", "--once") as process:
        out, error = process.communicate('{"id": "7", "speed": 1}', timeout=20)
    assert process.returncode == 0, error
    assert "stdin: 1 read = 1 applied" in out


SLOW = """
import asyncio
from shoal import App, Command, Twin

app = App("slow")

@app.twin("/one")
class One(Twin):
    wait = Command(float)

    @wait.handler
    async def on_wait(self, seconds: float) -> None:
        print("waits", flush=True)
        await asyncio.sleep(seconds)
        print("waited", flush=True)

app.ingest("-", One.wait)
"""


def test_draining_waits_for_async_handlers(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    with start(tmp_path, "slow.py") as process:
        assert process.stdin is not None
        process.stdin.write("0.2\n")
        process.stdin.flush()
        assert line_of(process) == "waits\n"
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=20)
    assert process.returncode == 0, error
    assert out.splitlines()[0] == "waited"
    assert "1 read = 1 applied" in out


def test_a_second_signal_ends_a_run_at_once(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    with start(tmp_path, "slow.py") as process:
        assert process.stdin is not None
        process.stdin.write("4\n")
        process.stdin.flush()
        assert line_of(process) == "waits\n"
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=20)
    assert process.returncode == 0, error
    assert "waited" not in out
    assert "1 read = 0 applied" in out


@pytest.mark.parametrize(
    ("options", "code", "said"), [((), 0, ""), (("--strict",), 1, "stopped at the first dead letter")]
)
def test_a_run_whose_reader_has_gone_says_how_it_ended(
    options: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    app = FLEET.replace("    def on_stop(self) -> None:\n", "    def on_leave(self) -> None:\n")
    (tmp_path / "fleet.py").write_text(app)
    (tmp_path / "fixes.jsonl").write_text('{"id": "7", "speed": 3}\n{"id": "7", "speed": 101}\n')
    command = [sys.executable, "-m", "shoal.cli", "run", "fleet.py", "--once", *options]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=PIPE, stderr=PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    assert process.wait(timeout=60) == code
    assert said in errors
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors
