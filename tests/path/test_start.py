"""Starting is quick."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

CLASSES = """
from shoal import Above, App, Command, Count, Ewma, Latest, Map, Max, Twin, Value, every
import msgspec

app = App("ten")

class Fix(msgspec.Struct):
    id: str
    speed: float
    lat: float
    lon: float
""" + "".join(
    f"""
@app.twin("/kind{n}/{{id}}")
class Kind{n}(Twin):
    report = Command(Fix)
    speed = Latest(report.body.speed)
    smooth = Ewma(speed, alpha=0.1)
    top = Max(speed)
    fast = Above(smooth, 25.0)
    reports = Count(report)
    note = Value(str, "")
    visits = Map(str, int, 0)

    @report.handler
    def on_report(self, fix: Fix) -> None:
        self.note = fix.id

    @every("1 min")
    def look(self) -> None:
        pass
"""
    for n in range(10)
)


@pytest.mark.slow
def test_an_app_of_ten_classes_is_imported_and_started_within_half_a_second(tmp_path: Path) -> None:
    (tmp_path / "ten.py").write_text(CLASSES + '\napp.ingest("empty.jsonl", Kind0.report)\n')
    (tmp_path / "empty.jsonl").touch()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "shoal.cli", "run", "ten.py", "--once"], cwd=tmp_path, check=True, timeout=60
        )
        times.append(time.perf_counter() - start)
    # the whole process, its end included; the best of five, as other work on the machine only adds
    assert min(times) <= 0.5
