"""``save=``: what was seen outside before a kill is there after it."""

from __future__ import annotations

import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from clients import Client, Poster, Watcher, state
from saving import JOURNAL_SECONDS

SERVER = Path(__file__).parent / "saving.py"
SECONDS = 30.0
# of a thread that waits for its turn on a busy machine
SLACK = 0.25


class Server:
    def __init__(self, folder: Path) -> None:
        command = [sys.executable, str(SERVER), str(folder)]
        self.errors = (folder / "errors.txt").open("ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, bufsize=0)
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], SECONDS)[0], "it does not serve"
        line = self.process.stdout.readline().decode()
        assert line.startswith("serving "), (line, Path(self.errors.name).read_text("utf-8"))
        self.port = int(line.split()[1])

    def end(self, number: signal.Signals) -> float:
        """Sends a signal and waits; when it was sent."""
        sent = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()
        return sent


def lanes(port: int, path: str) -> dict[str, Any]:
    return {"n": 0, "times": 0, "sum": 0, "each": [], "never": 0, "scratch": 7, **state(port, path)}


def rounds(folder: Path, seed: int, count: int) -> None:
    rng = random.Random(seed)
    folder.mkdir()
    first = {"/at_once/a": 0, "/later/b": 0, "/later/c": 0}
    for number in range(count):
        server = Server(folder)
        try:
            at_once = Poster(server.port, first["/at_once/a"], "/at_once/a?lane=add")
            later = Poster(server.port, first["/later/b"], "/later/b?lane=add")
            durable = Poster(server.port, first["/later/c"], "/later/c?lane=add", "Prefer: wait=durable")
            watchers = [Watcher(server.port, "/at_once/a", "n"), Watcher(server.port, "/later/from", "n")]
            clients: list[Client] = [at_once, later, durable, *watchers]
            for client in clients:
                client.start()
            time_to_live = time.monotonic() + rng.uniform(0.0, 0.6)
            # whatever they are doing then
            at_once.join(max(0.0, time_to_live - time.monotonic()))
        finally:
            killed = server.end(signal.SIGKILL)
        for client in clients:
            client.join(SECONDS)
            assert not client.is_alive()
            assert not client.problem, client.problem
        server = Server(folder)
        try:
            found = {path: lanes(server.port, path) for path in (*first, "/later/from")}
        finally:
            server.end(signal.SIGTERM if rng.random() < 0.3 else signal.SIGKILL)
        told = f"seed {seed}, round {number} in {folder}: {found}"
        a, b, c = (found[path] for path in first)
        sent_on = found["/later/from"]
        # sync lanes: all that was answered, at most one more; the turn as a whole
        assert max(at_once.told, watchers[0].told) <= a["n"] <= at_once.sent, (at_once.told, watchers[0].told, told)
        assert a["sum"] == a["n"] * (a["n"] + 1) // 2, told
        assert sum(dict(a["each"]).values() if a["each"] else [0]) == a["n"], told
        # what it has sent comes once, and was not shown before it was saved
        assert watchers[1].told <= sent_on["n"] == sent_on["times"] == a["n"], (watchers[1].told, told)
        # async lanes: what was asked to be durable …
        assert durable.told <= c["n"] == c["times"] <= durable.sent, (durable.told, told)
        # … and of the rest, all but what is younger than the bound and a record that was on its way
        assert b["n"] == b["times"] <= later.sent, told
        bound = JOURNAL_SECONDS + 2 * max(at_once.slowest, durable.slowest) + SLACK
        lost = [n for n, when in later.times.items() if n > b["n"] and when < killed - bound]
        assert not lost, (lost, bound, told)
        # never saved: as in a new twin
        assert (a["scratch"], b["never"], c["never"]) == (7, 0, 0), told
        first = {path: found[path]["n"] for path in first}
    assert min(first.values()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_what_was_seen_before_a_kill_is_there(seed: int, tmp_path: Path) -> None:
    rounds(tmp_path / "run", seed, 2)


@pytest.mark.long
def test_what_was_seen_before_200_kills_is_there(tmp_path: Path) -> None:
    for seed in range(100, 120):
        rounds(tmp_path / str(seed), seed, 10)
