"""``shoal twin`` serves what it has inferred: a session without a program, each command as a process of its own."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from inferring import readings, write

pytestmark = pytest.mark.slow

SHOAL = [sys.executable, "-m", "shoal.cli"]
HINT = "   (--key, --time, --group, --set change the above; --eject app.py writes it down)"


class Server:
    """``shoal twin`` or ``shoal run`` with what follows it, until it serves; ``said`` is what came before that line."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.process = subprocess.Popen(
            [*SHOAL, *command, "--port", "0"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.said: list[str] = []
        while True:
            assert select.select([self.process.stdout], [], [], 30)[0]
            line = self.process.stdout.readline()
            found = re.fullmatch(r"serving (http://127\.0\.0\.1:\d+)(.*)\n", line)
            if found:
                break
            assert line, self.process.communicate(timeout=30)
            self.said.append(line)
        self.url, self.hint = found.groups()

    def shoal(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "SHOAL_URL": self.url}
        return subprocess.run([*SHOAL, *arguments], capture_output=True, text=True, timeout=60, check=False, env=env)

    def out(self, *arguments: str) -> str:
        done = self.shoal(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def wait(self, told: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not told():
            assert time.monotonic() < deadline

    def stop(self) -> tuple[int, str, str]:
        self.process.terminate()
        out, errors = self.process.communicate(timeout=30)
        return self.process.returncode, out, errors


@contextmanager
def serving(folder: Path, *command: str) -> Iterator[Server]:
    server = Server(folder, *command)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate(timeout=30)


def sums(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The sum of each feeder's newest ``kw``."""
    newest = {row["meter"]: row for row in rows}
    found: dict[str, float] = {}
    for row in newest.values():
        found[row["feeder"]] = found.get(row["feeder"], 0.0) + float(row["kw"])
    return found


def test_a_session_without_a_program(tmp_path: Path) -> None:
    rows = [dict(row) for row in readings()]
    write(tmp_path / "readings.csv", rows)
    expected = sums(rows)["f7"]
    with serving(tmp_path, "twin", "readings.csv") as server:
        assert server.said[0] == "readings.csv: looked at 2,000 records\n"
        assert server.hint == HINT
        server.wait(lambda: abs(json.loads(server.out("get", "/feeder/f7", "kw.sum")) - expected) < 1e-9)
        # the file is at its end, and it serves on
        assert server.process.poll() is None
        assert server.out("ls", "--format", "table") == "/meter   200\n/feeder   12\n"
        feeder = json.loads(server.out("get", "/feeder/f7"))
        assert len(feeder.pop("meters")) == 17
        assert feeder["kw.sum"] == pytest.approx(expected)
        assert feeder.keys() == {"kw.sum", "kw.mean", "volt.sum", "volt.mean"}
        assert json.loads(server.out("link", "/feeder/f7", "kw.sum", "--count", "1")) == pytest.approx(expected)
        meter = json.loads(server.out("get", "/meter/m0007"))
        mine = [row for row in rows if row["meter"] == "m0007"]
        # of the last hour: the newest four readings, a quarter of an hour apart
        assert meter["kw.max"] == max(float(row["kw"]) for row in mine[-4:])
        assert meter["phase"] == "L2"
        low = {
            row["meter"]
            for row in {row["meter"]: row for row in rows if row["volt"]}.values()
            if float(row["volt"]) < 227
        }
        found = server.out("find", "meter", "volt < 227", "--limit", "1000", "--format", "table").splitlines()
        assert found[0].split() == [
            "uri",
            "feeder",
            "kw",
            "kw.max",
            "kw.mean",
            "volt",
            "volt.max",
            "volt.mean",
            "phase",
        ]
        assert {line.split()[0] for line in found[1:]} == {f"/meter/{name}" for name in low}
        code, out, errors = server.stop()
    assert (code, errors) == (0, "")
    assert "readings.csv: 2,000 read = 2,000 applied + 0 filtered + 0 dead-lettered + 0 waiting" in out
    eject = [*SHOAL, "twin", "readings.csv", "--eject", "grid.py"]
    assert subprocess.run(eject, cwd=tmp_path, capture_output=True, timeout=60, check=False).returncode == 0
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "grid.py"],
        cwd=tmp_path,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    with serving(tmp_path, "run", "grid.py") as server:
        assert server.hint == ""
        server.wait(lambda: server.shoal("get", "/feeder/f7", "kw.sum").returncode == 0)
        server.wait(lambda: abs(json.loads(server.out("get", "/feeder/f7", "kw.sum")) - expected) < 1e-9)
        assert json.loads(server.out("get", "/meter/m0007")) == meter


def test_a_lane_that_comes_later_is_served_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "sensors.jsonl"
    records = [{"id": f"s{number % 3}", "line": "ab"[number % 3 % 2], "x": number} for number in range(60)]
    write(pipe, records)
    os.rename(pipe, tmp_path / "first.jsonl")
    os.mkfifo(pipe)
    command = [*SHOAL, "twin", str(pipe), "--look", "40", "--time", "none", "--port", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        with pipe.open("w") as feed:
            feed.write((tmp_path / "first.jsonl").read_text())
            feed.flush()
            line = ""
            while not line.startswith("serving "):
                assert select.select([process.stdout], [], [], 30)[0]
                line = process.stdout.readline()
                assert line, process.communicate(timeout=30)
            url = line.split()[1]
            link = [*SHOAL, "link", "/sensor/s1", "x", "--url", url]
            following = subprocess.Popen(link, stdout=subprocess.PIPE, text=True)
            try:
                assert following.stdout is not None
                while following.stdout.readline() != "58\n":
                    assert following.poll() is None
                feed.write('{"id": "s1", "line": "b", "x": 100, "y": 7}\n')
                feed.flush()
                assert following.stdout.readline() == "100\n"
                newer = [*SHOAL, "link", "/sensor/s1", "y.max", "--url", url, "--count", "1"]
                done = subprocess.run(newer, capture_output=True, text=True, timeout=60, check=False)
                assert (done.stdout, done.stderr) == ("7\n", "")
                feed.write('{"id": "s1", "line": "b", "x": 101, "y": 8}\n')
                feed.flush()
                assert following.stdout.readline() == "101\n"
            finally:
                following.terminate()
                following.communicate(timeout=30)
            process.terminate()
            errors = process.communicate(timeout=30)[1]
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=30)
    assert "new field y: number -> Latest, and Max, Mean of the last hour" in errors


def test_a_port_that_is_taken_is_a_line(tmp_path: Path) -> None:
    write(tmp_path / "readings.csv", readings(20))
    with serving(tmp_path, "twin", "readings.csv") as server:
        port = server.url.rpartition(":")[2]
        command = [*SHOAL, "twin", "readings.csv", "--port", port]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert port in done.stderr
    assert "taken" in done.stderr
