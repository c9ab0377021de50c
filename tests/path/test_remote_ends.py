"""Runs with links and commands to another server end cleanly, say what waits, and send it after a crash."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kept import SECONDS, Running

pytestmark = pytest.mark.slow
FAR = """
from shoal import App, Command, Count, Latest, Twin

app = App("far")

@app.twin("/bus/{id}")
class Bus(Twin):
    report = Command(int)
    last = Latest(report.body)
    reports = Count(report)
"""
NEAR = """
import os
import msgspec
from shoal import App, Command, Link, Settings, Twin

app = App("near", settings=Settings(remote_seconds=SECONDS))

class Reading(msgspec.Struct):
    id: str
    n: int

@app.twin("/meter/{id}")
class Meter(Twin):
    report = Command(Reading)
    last = Link(int, lane="last")

    @report.handler
    def on_report(self, reading: Reading) -> None:
        self.last.open("warp://127.0.0.1:PORT/bus/1")
        self.at("warp://127.0.0.1:PORT/bus/1").report(reading.n)

app.ingest("readings.jsonl", Meter.report)
"""
COUNT = 500


def near(folder: Path, port: int, seconds: float = 60.0) -> Path:
    home = folder / "near"
    home.mkdir(exist_ok=True)
    (home / "near.py").write_text(NEAR.replace("PORT", str(port)).replace("SECONDS", str(seconds)))
    (home / "readings.jsonl").write_text("".join(json.dumps({"id": "1", "n": n}) + "\n" for n in range(COUNT)))
    return home


def far(folder: Path, port: int = 0) -> Running:
    home = folder / "far"
    home.mkdir(exist_ok=True)
    (home / "far.py").write_text(FAR)
    return Running(home, command=("-m", "shoal.cli", "run", "far.py", "--port", str(port)))


def once(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "shoal.cli", "run", "near.py", "--once", *words]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    run = far(tmp_path)
    try:
        yield run
    finally:
        run.end()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_run_that_does_not_serve_sends_all_before_it_ends(tmp_path: Path, server: Running) -> None:
    done = once(near(tmp_path, server.port))
    assert done.returncode == 0, done.stderr
    assert (
        f"between twins: {COUNT:,} sent = {COUNT:,} applied + 0 dead-lettered + 0 waiting" in done.stdout + done.stderr
    )
    server.until(lambda: server.get("/bus/1")["reports"] == COUNT)
    assert server.get("/bus/1")["last"] == COUNT - 1


def test_commands_for_a_server_that_is_away_are_given_up_before_it_ends(tmp_path: Path) -> None:
    done = once(near(tmp_path, free_port(), 0.2))
    text = done.stdout + done.stderr
    assert f"between twins: {COUNT:,} sent = 0 applied + {COUNT:,} dead-lettered + 0 waiting" in text
    letters = (tmp_path / "near/dead-letters/near.jsonl").read_text()
    assert "remote_seconds" in letters
    assert "nobody listens" in letters


def test_what_waits_is_said_at_the_end_and_sent_by_the_next_run(tmp_path: Path) -> None:
    port = free_port()
    home = near(tmp_path, port)
    words = ("-m", "shoal.cli", "run", "near.py", "--port", "0", "--store", "state")
    run = Running(home, command=words)
    run.until(lambda: run.get("/").get("remotes", [{}])[0].get("waiting") == COUNT)
    (remote,) = run.get("/")["remotes"]
    assert (remote["host"], remote["connected"], remote["links"]) == (f"warp://127.0.0.1:{port}", False, 1)
    # a server that is away is not waited for
    out = run.end()
    assert f"0 applied + 0 dead-lettered + {COUNT:,} waiting" in out + run.errors
    run = Running(home, command=words)
    run.until(lambda: run.get("/").get("remotes", [{}])[0].get("waiting") == COUNT)
    run.until(lambda: not run.get("/")["journal"]["risk_changes"])
    run.kill()
    server = far(tmp_path, port)
    run = Running(home, command=words)
    try:
        server.until(lambda: server.get("/bus/*?count=true")["count"] == 1 and server.get("/bus/1")["reports"] >= COUNT)
        assert server.get("/bus/1")["last"] == COUNT - 1
        run.until(lambda: not run.get("/")["remotes"][0]["waiting"])
        (remote,) = run.get("/")["remotes"]
        assert (remote["connected"], remote["links"], remote["trouble"]) == (True, 1, "")
    finally:
        run.end()
        server.end()
