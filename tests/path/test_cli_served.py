"""The commands that ask a server against ``shoal run``: each as a process of its own."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

APP = """
from shoal import App, Command, Count, Latest, Map, Mean, Members, Reject, Twin, Value
import msgspec

app = App("transit")

class Fix(msgspec.Struct):
    id: str
    speed: float
    stop: str | None = None

@app.twin("/bus/{id}")
class Bus(Twin):
    report = Command(Fix)
    speed = Latest(report.body.speed, unit="m/s")
    note = Value(str, "")
    stops = Map(str, int, 0)

    @report.handler
    def on_report(self, fix: Fix) -> None:
        if fix.speed < 0:
            raise Reject("a bus does not drive backwards")
        if fix.stop:
            self.stops[fix.stop] += 1

@app.twin("/city")
class City(Twin):
    buses = Members(Bus)
    speed = Mean(Bus.speed, over=buses)

app.ingest("fixes.jsonl", Bus.report)
"""

SHOAL = [sys.executable, "-m", "shoal.cli"]


class Server:
    def __init__(self, folder: Path, port: int = 0) -> None:
        self.process = subprocess.Popen(
            [*SHOAL, "run", "transit.py", "--port", str(port)],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], 30)[0]
        told = self.process.stdout.readline()
        found = re.fullmatch(rb"serving http://127\.0\.0\.1:(\d+)\n", told)
        assert found, told
        self.port = int(found.group(1))
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("transit")
    (made / "transit.py").write_text(APP)
    lines = [json.dumps({"id": str(n % 1500), "speed": n % 30 + 0.5, "stop": "ABC"[n % 3]}) for n in range(3000)]
    (made / "fixes.jsonl").write_text("\n".join(lines) + "\n")
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    made = Server(folder)
    try:
        deadline = time.monotonic() + 30
        while shoal(made, "get", "/bus/1499", "stops").stdout != '{"C":2}\n':  # of the last record
            assert time.monotonic() < deadline
        yield made
    finally:
        made.stop()


def shoal(server: Server, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SHOAL, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "SHOAL_URL": server.url},
        **more,
    )


def counted(server: Server) -> int:
    return int(shoal(server, "find", "bus", "--count").stdout)


def out(server: Server, *arguments: str) -> str:
    done = shoal(server, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_session_over_a_served_app(server: Server) -> None:
    assert out(server, "ls", "--format", "table") == "/bus   1,500\n/city      1\n"
    assert out(server, "ls", "bus").splitlines()[:2] == ['"/bus/0"', '"/bus/1"']
    assert json.loads(out(server, "get", "/bus/8")) == {"speed": 8.5, "note": "", "stops": {"C": 2}}
    assert out(server, "get", "/bus/8", "speed") == "8.5\n"
    assert out(server, "sync", "/bus/8", "stops") == '{"C":2}\n'
    assert out(server, "sync", "/bus/8", "speed") == "8.5\n"
    assert out(server, "link", "/bus/8", "speed", "--count", "1") == "8.5\n"


def test_find_asks_the_server_for_what_fulfils_the_conditions(server: Server) -> None:
    found = [json.loads(line) for line in out(server, "find", "Bus", 'speed >= 29 and note = ""').splitlines()]
    assert len(found) == 50
    assert all(twin["speed"] == 29.5 for twin in found)
    assert out(server, "find", "bus", "speed>=29", "speed<1", "--count") == "0\n"
    all_of_them = [json.loads(line) for line in out(server, "find", "/bus", "--fields", "speed").splitlines()]
    assert [set(twin) for twin in all_of_them] == [{"uri", "speed"}] * 1500
    assert len({twin["uri"] for twin in all_of_them}) == 1500


def test_a_command_is_done_when_it_returns_and_a_refused_one_says_why(server: Server) -> None:
    assert out(server, "command", "/bus/7", "report", '{"id": "7", "speed": 12, "stop": "Z"}') == ""
    assert json.loads(out(server, "get", "/bus/7"))["stops"]["Z"] == 1
    assert out(server, "command", "/bus/7", "note", '"two words"') == ""
    assert out(server, "get", "/bus/7", "note") == '"two words"\n'
    done = shoal(server, "command", "/bus/7", "report", '{id: "7", speed: -1}')
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "shoal: a bus does not drive backwards\n")
    done = shoal(server, "command", "/bus/7", "report", '{"id": "7"}')
    assert done.returncode == 1
    assert "speed" in done.stderr
    assert shoal(server, "command", "/bus/7", "speed", "1").returncode == 1


def test_nothing_is_made_by_looking(server: Server) -> None:
    before = counted(server)
    for name in (("get", "/bus/none"), ("link", "/bus/none", "speed"), ("sync", "/bus/none", "speed")):
        done = shoal(server, *name)
        assert done.returncode == 1
        assert done.stderr.startswith("shoal: there is no Bus at /bus/none")
    assert counted(server) == before


def test_what_exists_instead_is_said(server: Server) -> None:
    assert "it has speed, note, stops, report" in shoal(server, "get", "/bus/7", "spede").stderr
    assert "it has speed, note, stops, report" in shoal(server, "link", "/bus/7", "spede").stderr
    assert "`/bus/{id}`" in shoal(server, "get", "/busses/7").stderr
    assert "did you mean `Bus`?" in shoal(server, "find", "buss").stderr
    assert "it has speed" in shoal(server, "find", "bus", "spede > 1").stderr


def test_a_link_follows_commands_and_a_restart_of_the_server(folder: Path) -> None:
    first = Server(folder)
    following = subprocess.Popen(
        [*SHOAL, "link", "/bus/new", "speed", "--make", "--url", first.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert following.stdout is not None
    assert following.stderr is not None
    try:
        assert following.stdout.readline() == "null\n"  # the lane is unset, and so it is said by WARP
        assert shoal(first, "command", "/bus/new", "report", '{"id":"new","speed":1}').returncode == 0
        assert following.stdout.readline() == "1\n"
        first.stop()
        assert following.stderr.readline().endswith("; trying again until it is back\n")
        second = Server(folder, first.port)
        try:
            assert following.stderr.readline() == f"shoal: {first.url}: linked again\n"
            assert shoal(second, "command", "/bus/new", "report", '{"id":"new","speed":2}').returncode == 0
            seen = following.stdout.readline()
            while seen == "null\n":
                seen = following.stdout.readline()
            assert seen == "2\n"
        finally:
            second.stop()
    finally:
        following.send_signal(signal.SIGTERM)
        rest = following.communicate(timeout=30)
    assert following.returncode == 0, rest
