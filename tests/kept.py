"""Real ``shoal`` processes with a store: started, spoken to, ended, and what their stores hold."""

import json
import re
import select
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 30
SERVE = ("-m", "shoal.cli", "run", "meters.py", "--port", "0")

METERS = """
import msgspec
from shoal import App, Command, Count, Latest, Map, Members, Sum, Twin, Value

app = App("meters")

class Reading(msgspec.Struct):
    id: str
    kwh: float
    at: float

@app.twin("/meter/{id}")
class Meter(Twin):
    report = Command(Reading)
    kwh = Latest(report.body.kwh)
    total = Sum(report.body.kwh)
    reports = Count(report)
    hours = Map(int, int, 0)
    _last = Value(float, 0.0)

    @report.handler
    def on_report(self, reading: Reading) -> None:
        self.hours[int(reading.at) % 4] += 1
        self._last = reading.kwh

@app.twin("/town")
class Town(Twin):
    meters = Members(Meter)
    total = Sum(Meter.total, over=meters)

app.ingest("readings.jsonl", Meter.report, time="at", speed="max")
"""


def readings(count: int, meters: int = 7, per_second: float = 1.0) -> list[dict[str, Any]]:
    return [{"id": str(n % meters), "kwh": n / 4, "at": n / per_second} for n in range(count)]


def write(folder: Path, records: list[dict[str, Any]], program: str = METERS) -> None:
    (folder / "meters.py").write_text(program)
    (folder / "readings.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def shoal(folder: Path, *words: str, code: int | None = 0) -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end; ``code`` is what it must exit with, None: anything."""
    command = [sys.executable, "-m", "shoal.cli", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert code is None or done.returncode == code, done
    return done


class Running:
    """A ``shoal run`` that serves. Its words on standard output and error are in files."""

    def __init__(self, folder: Path, *words: str, command: Sequence[str] = SERVE) -> None:
        self.folder = folder
        self._errors = (folder / "errors.txt").open("w")
        self.process = subprocess.Popen(
            [sys.executable, *command, *words], cwd=folder, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0
        )
        assert self.process.stdout is not None
        end = time.monotonic() + SECONDS
        line = b""
        while not line.endswith(b"\n"):
            left = end - time.monotonic()
            assert left > 0, self.errors
            if select.select([self.process.stdout], [], [], left)[0]:
                part = self.process.stdout.read(1)
                assert part, self.errors
                line += part
        found = re.fullmatch(rb"serving http://127\.0\.0\.1:(\d+)\n", line)
        assert found, line
        self.port = int(found[1])
        # the loop runs, and signals end it cleanly
        self.get("/")

    @property
    def errors(self) -> str:
        return (self.folder / "errors.txt").read_text()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=SECONDS) as answer:
            return json.load(answer)

    def until(self, is_so: Callable[[], Any]) -> Any:
        """What ``is_so`` gives, once that is true."""
        end = time.monotonic() + SECONDS
        while not (found := is_so()):
            assert time.monotonic() < end, self.errors
            assert self.process.poll() is None, self.errors
            select.select([], [], [], 0.01)
        return found

    def reports(self, meter: str) -> int:
        """What it has counted; 0: there is none yet."""
        try:
            return int(self.get(f"/meter/{meter}").get("reports", 0))
        except urllib.error.HTTPError:
            return 0

    def has_saved(self, records: list[dict[str, Any]]) -> bool:
        """All of them are applied, and on the disk."""
        last = records[-1]["id"]
        wanted = sum(record["id"] == last for record in records)
        return self.reports(last) == wanted and not self.get("/")["journal"]["risk_changes"]

    def kill(self) -> None:
        """Ends it as a power cut would, but for the disk."""
        self.process.kill()
        self.process.communicate()
        self._errors.close()

    def end(self) -> str:
        """Ends it as Ctrl-C does; what it has printed."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            out = self.process.communicate(timeout=SECONDS)[0].decode()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.communicate()
            self._errors.close()
        assert self.process.returncode == 0, self.errors
        return out


@contextmanager
def running(folder: Path, *words: str, command: Sequence[str] = SERVE) -> Iterator[Running]:
    made = Running(folder, *words, command=command)
    try:
        yield made
    finally:
        made.end()


def exported(folder: Path, store: str = "state") -> dict[str, dict[str, Any]]:
    """The twins of a store, by URI."""
    to = folder / f"exported-{len(list(folder.glob('exported-*')))}"
    shoal(folder, "store", "export", store, to.name, "--format", "jsonl")
    lines = [json.loads(line) for path in sorted(to.iterdir()) for line in path.read_text().splitlines()]
    return {line.pop("uri"): line for line in lines}


def expected(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the readings make of the meters and their town."""
    twins: dict[str, dict[str, Any]] = {}
    hours: dict[str, dict[int, int]] = {}
    for record in records:
        uri = f"/meter/{record['id']}"
        meter = twins.setdefault(uri, {"total": 0.0, "reports": 0})
        meter |= {"kwh": record["kwh"], "_last": record["kwh"]}
        meter["total"] += record["kwh"]
        meter["reports"] += 1
        mine, hour = hours.setdefault(uri, {}), int(record["at"]) % 4
        mine[hour] = mine.get(hour, 0) + 1
    for uri, mine in hours.items():
        twins[uri]["hours"] = [list(pair) for pair in mine.items()]
    return twins | {"/town": {"total": sum(meter["total"] for meter in twins.values())}} if twins else {}
