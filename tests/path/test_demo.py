"""The demo: what its twins say against a plain recount, what its screen shows, and what it does without a network."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from airspace import recorded

ROOT = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, str(ROOT / "examples" / "airspace" / "demo.py")]
CACHE = ROOT / ".cache" / "airspace"


def demo(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **(environment or {})},
    )


@pytest.mark.slow
def test_three_real_hours_agree_with_a_plain_recount(capsys: pytest.CaptureFixture[str]) -> None:
    done = demo("--once", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a plain recount of the file agrees" in done.stdout
    if "SIMULATED" in done.stdout:
        with capsys.disabled():
            print("\ntest_demo: no network, so the SIMULATED traffic was recounted, not the recording")
    else:
        assert "284,505 rows read = 284,041 applied + 464 refused + 0 waiting" in done.stdout
        assert "213 aircraft in 13 cells" in done.stdout


@pytest.mark.slow
def test_simulated_traffic_is_marked_and_agrees_with_a_plain_recount() -> None:
    done = demo("--once", "--check", "--simulated")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIMULATED traffic, not a recording" in done.stdout
    assert "a plain recount of the file agrees" in done.stdout


@pytest.mark.slow
def test_without_a_network_it_says_so_and_simulates(tmp_path: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_EXTRA_INDEX_URL": "", "PIP_NO_INDEX": "0"}
    done = demo("--once", "--cache", str(tmp_path), environment=nowhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"no recording: pip could not fetch {recorded.REQUIREMENT}" in done.stderr
    assert "SIMULATED traffic, not a recording" in done.stdout


@pytest.mark.slow
def test_an_interrupted_demo_prints_the_totals_so_far() -> None:
    with subprocess.Popen(
        [*DEMO, "--once", "--simulated", "--speed", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "reports" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "interrupted: these are the totals so far" in out
    assert "rows read = " in out


@pytest.mark.slow
def test_the_demo_serves_its_twins_and_says_what_to_try() -> None:
    with subprocess.Popen(
        [*DEMO, "--simulated", "--speed", "60"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        told = ""
        while "curl" not in told:
            line = process.stderr.readline()
            assert line, told
            told += line
        address = re.search(r"curl (http://127\.0\.0\.1:\d+)/airspace\n", told)
        hint = re.search(r"try: (\S+) link (\S+) altitude\n", told)
        assert address
        assert hint
        where = {**os.environ, "SHOAL_URL": address.group(1)}
        asked = subprocess.run(
            [str(ROOT / hint.group(1)), "link", hint.group(2), "altitude", "--count", "1"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=where,
        )
        assert (asked.returncode, asked.stderr) == (0, "")
        assert float(asked.stdout) >= 0
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
