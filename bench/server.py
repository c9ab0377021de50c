"""The server under load: commands, one hop, fan-out, readers that stall, the start. ``warp/warpload.c`` makes the load.

Each sample is a fresh server and a fresh generator, which is pinned to the last CPU; the server is not pinned.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from events import FOLDER
from measure import Sample
from table import Row

HERE = Path(__file__).with_name("warp")
SECONDS = 60.0

COMMANDS = {
    "1x1": ["--conns", "1", "--nodes", "1"],
    "1x1k": ["--conns", "1", "--nodes", "1000", "--node-base", "100"],
    "4x1k": ["--conns", "4", "--nodes", "1000", "--node-base", "100"],
    "4x100k": ["--conns", "4", "--nodes", "100000", "--node-base", "1000000"],
}
FANS = {
    "fan-lanes": ["--rate", "10000", "--sub-conns", "10", "--nodes", "100", "--node-base", "6000"],
    "fan-sockets": ["--rate", "100", "--sub-conns", "1000", "--node-base", "30"],
}
CONTENDERS = [
    *(f"handler-{load}" for load in COMMANDS),
    *(f"folds-{load}" for load in COMMANDS),
    "null-1000",
    "hop-1000",
    "null-10000",
    "hop-10000",
    "spin-1000",
    *FANS,
    "readers",
    "stalled",
    "start",
]
RUNS = 3


def measure(contender: str) -> Sample:
    kind, _, load = contender.partition("-")
    if kind in ("handler", "folds"):
        with server(units=kind) as (port, pid):
            return commands(port, pid, COMMANDS[load])
    if kind == "null":
        with null() as port:
            return latency(port, 0, load)
    if kind in ("hop", "spin"):
        with server("spin.py" if kind == "spin" else "app.py") as (port, pid):
            return latency(port, pid, load)
    if contender in FANS:
        with server() as (port, pid):
            return fan(port, pid, FANS[contender], 10)
    if kind in ("readers", "stalled"):
        return stalled(100 if kind == "stalled" else 0)
    return first_answer()


# -- the loads


def commands(port: int, pid: int, load: list[str]) -> Sample:
    got = generate("cmd", port, pid, ["--count", "1000000", *load])
    if got["processed"] != got["sent"]:
        raise SystemExit(f"not all commands were processed: {got}")
    return {"rate": got["processed_per_s"], "cpu_rate": got["processed"] / got["server_cpu_s"]}


def latency(port: int, pid: int, rate: str, heard_at: int = 0) -> Sample:
    """``heard_at``: the port where the subscriber links, where it is another."""
    there = ["--sub-port", str(heard_at)] if heard_at else []
    got = generate("lat", port, pid, ["--rate", rate, "--node-base", "20", "--secs", "5", *there])
    return {"p50": got["lat_us"]["p50"], "p99": got["lat_us"]["p99"], **delivered(got)}


def fan(port: int, pid: int, load: list[str], seconds: int) -> Sample:
    got = generate("fan", port, pid, ["--secs", str(seconds), *load])
    rate = got["events"] / got["server_cpu_s"]
    return {
        "rate": rate,
        "p50": got["lat_us"]["p50"],
        "p99": got["lat_us"]["p99"],
        "rss": got["rss_mb"],
        **delivered(got),
    }


def delivered(got: dict[str, Any]) -> Sample:
    return {"delivered": got["delivered_ratio"], "last": float(got["last_seen"])}


def stalled(count: int) -> Sample:
    """900 subscribers that read, and ``count`` more that read 1 kB a second, for a minute."""
    with server() as (port, pid):
        slow = None
        if count:
            slow = subprocess.Popen(
                [sys.executable, str(HERE / "slow.py"), str(port), str(count), str(SECONDS + 15)],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert slow.stdout is not None
            if slow.stdout.readline() != "ready\n":
                raise SystemExit("the slow subscribers did not link")
        before = resident(pid)
        try:
            body = f'{{n:#,pad:"{"x" * 200}"}}'
            load = ["--rate", "100", "--sub-conns", "900", "--node", "/wide/#", "--node-base", "30", "--body", body]
            return {**fan(port, pid, load, int(SECONDS)), "grown": resident(pid) - before}
        finally:
            if slow is not None:
                slow.kill()
                slow.wait()


def first_answer() -> Sample:
    """From the command to the first answer over HTTP."""
    begun = time.perf_counter()
    with server() as _:
        return {"seconds": time.perf_counter() - begun}


# -- servers and the generator


@contextmanager
def server(
    app: str = "app.py", units: str = "handler", options: Sequence[str] = (), far: int = 0
) -> Iterator[tuple[int, int]]:
    """A served app, answering; its port and its process."""
    command = [sys.executable, "-m", "shoal.cli", "run", str(HERE / app), "--port", "0", *options]
    environment = {**os.environ, "UNITS": units, "FAR_PORT": str(far)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment, cwd=FOLDER
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("serving "):
                port = int(line.split()[1].rsplit(":", 1)[1])
                break
        else:
            raise SystemExit(f"{app} did not serve")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats", timeout=SECONDS) as answer:
            answer.read()
        yield port, process.pid
    except urllib.error.HTTPError:
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(SECONDS)


@contextmanager
def null() -> Iterator[int]:
    """The generator's own server, which does nothing but echo."""
    port = 19_001
    process = subprocess.Popen([tool(), "null", "--port", str(port), "--timeout", "60"], stdout=subprocess.DEVNULL)
    time.sleep(0.3)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def generate(mode: str, port: int, pid: int, arguments: list[str]) -> dict[str, Any]:
    command = [tool(), mode, "--port", str(port), "--timeout", "150", *arguments]
    if pid:
        command += ["--pid", str(pid)]
    if pin := shutil.which("taskset"):
        command = [pin, "-c", str((os.cpu_count() or 1) - 1), *command]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=200)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def tool() -> str:
    """The generator, built when it is first wanted."""
    built = FOLDER / "warpload"
    source = HERE / "warpload.c"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        FOLDER.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-O2", "-o", str(built), str(source)], check=True)
    return str(built)


def resident(pid: int) -> float:
    """MB of a process in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


# -- the table


def rows(medians: dict[str, Sample], loop: Sample) -> list[Row]:
    made = []
    for kind, bar in (("handler", 350_000), ("folds", 800_000)):
        for load in COMMANDS:
            got = medians[f"{kind}-{load}"]
            detail = f"{got['cpu_rate']:,.0f} a CPU-second of the server"
            name = (
                f"commands, {'one Python handler' if kind == 'handler' else 'folds only'}, {load.replace('x', ' × ')}"
            )
            made.append(Row(name, f"{got['rate']:,.0f}/s", f"≥ {bar:,}/s", got["rate"] >= bar, detail))
    for rate in ("1000", "10000"):
        got, floor = medians[f"hop-{rate}"], medians[f"null-{rate}"]
        above = got["p50"] - floor["p50"]
        detail = (
            f"p50 {got['p50']:.0f} µs, null server {floor['p50']:.0f} µs; p99 {got['p99']:.0f} µs, "
            f"null server {floor['p99']:.0f} µs; delivered {got['delivered']:.4f}"
        )
        made.append(
            Row(f"one hop, {int(rate):,}/s, p50", f"null + {above:.0f} µs", "≤ null + 80 µs", above <= 80, detail)
        )
    got = medians["hop-1000"]
    made.append(Row("one hop, 1,000/s, p99", f"{got['p99']:.0f} µs", "≤ 500 µs", got["p99"] <= 500))
    got = medians["spin-1000"]
    made.append(Row("the same beside a spinning thread, p99", f"{got['p99']:.0f} µs", "≤ 3,000 µs", got["p99"] <= 3000))
    for name, least, words in (
        ("fan-lanes", 5 * 94_000, "100 lanes × 10 sockets, 10,000 changes/s"),
        ("fan-sockets", 1.4 * 77_000, "one lane × 1,000 sockets, 100/s"),
    ):
        got = medians[name]
        detail = (
            f"events a CPU-second; delivered {got['delivered']:.4f}, p50 {got['p50']:,.0f} µs, p99 {got['p99']:,.0f} µs"
        )
        reached = got["rate"] >= least and (got["delivered"] == 1 or name != "fan-lanes")
        made.append(Row(f"fan-out, {words}", f"{got['rate']:,.0f}", f"≥ {least:,.0f}", reached, detail))
    alone, beside = medians["readers"], medians["stalled"]
    ratio = beside["p99"] / alone["p99"]
    detail = (
        f"p99 {beside['p99']:,.0f} against {alone['p99']:,.0f} µs; memory grew by {beside['grown']:.1f} MB, "
        f"without them by {alone['grown']:.1f}"
    )
    made.append(Row("900 readers beside 100 stalled ones, p99", f"{ratio:.2f} ×", "≤ 1.2 ×", ratio <= 1.2, detail))
    seconds = medians["start"]["seconds"]
    made.append(Row("`shoal run` to its first answer", f"{seconds:.2f} s", "≤ 0.6 s", seconds <= 0.6))
    return made
