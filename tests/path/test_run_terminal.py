"""``shoal run`` on a terminal: the live view, and the terminal left as it was."""

import json
import os
import pty
import select
import subprocess
import sys
import termios
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

APP = """
from shoal import App, Command, Count, Latest, Members, Twin
import msgspec

app = App("fleet")

class Fix(msgspec.Struct):
    id: str
    speed: float

@app.twin("/bus/{id}")
class Bus(Twin):
    report = Command(Fix)
    speed = Latest(report.body.speed)

@app.twin("/city")
class City(Twin):
    buses = Members(Bus)
    size = Count(over=buses)

app.ingest("fixes.jsonl", Bus.report)
"""


def on_terminal(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code, and all that the terminal was sent."""
    outer, inner = pty.openpty()
    termios.tcsetwinsize(inner, (30, 100))
    process = subprocess.Popen(
        [sys.executable, "-m", "shoal.cli", "run", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=inner,
        stderr=inner,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
    )
    os.close(inner)
    sent = b""
    while select.select([outer], [], [], 60)[0]:
        try:
            read = os.read(outer, 65536)
        except OSError:  # the other end is closed
            break
        if not read:
            break
        sent += read
    os.close(outer)
    return process.wait(60), sent.decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fleet.py").write_text(APP)
    lines = [json.dumps({"id": str(n % 50), "speed": n}) for n in range(1_000)] + ["{"]
    (tmp_path / "fixes.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_the_status_line_shows_records_rate_twins_and_dead_letters(folder: Path) -> None:
    code, sent = on_terminal(folder, "fleet.py", "--once")
    assert code == 0, sent
    for part in ("1,001 records", "events/s", "51 twins", "1 dead letter", "1,001 read = 1,000 applied"):
        assert part in sent
    assert sent.rindex("\x1b[?25h") > sent.rindex("\x1b[?25l")  # the cursor is back


def test_watched_twins_are_tables_that_fit(folder: Path) -> None:
    code, sent = on_terminal(folder, "fleet.py", "--once", "--watch", "/city", "--watch", "/bus/*")
    assert code == 0, sent
    for part in ("/city", "size", "buses", "/bus/*  50 twins", "speed", "/bus/0"):
        assert part in sent
    assert "/bus/49" not in sent
