"""A record of five fields as Recon, to a dict and back; JSON by msgspec and by the json module beside it."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
from measure import Sample, Stopwatch
from table import Row

from shoal import recon

CONTENDERS = ["loads", "dumps", "msgspec-decode", "msgspec-encode", "json-loads", "json-dumps"]
RUNS = 7
TIMES = 1_000_000
RECORD = {"id": "v4711", "t": 1633608000.125, "speed": 52.25, "lat": 52.52437, "lon": 13.41053}


def measure(contender: str) -> Sample:
    text = json.dumps(RECORD)
    calls: dict[str, tuple[Callable[[Any], Any], Any]] = {
        "loads": (recon.loads, recon.dumps(RECORD)),
        "dumps": (recon.dumps, RECORD),
        "msgspec-decode": (msgspec.json.decode, text),
        "msgspec-encode": (msgspec.json.encode, RECORD),
        "json-loads": (json.loads, text),
        "json-dumps": (json.dumps, RECORD),
    }
    assert recon.loads(recon.dumps(RECORD)) == RECORD
    call, argument = calls[contender]
    with Stopwatch() as spent:
        for _ in range(TIMES):
            call(argument)
    return spent.sample(TIMES)


def rows(medians: dict[str, Sample], loop: Sample) -> list[Row]:
    made = []
    for name, measured, others in [
        ("Recon record of 5 fields → dict", "loads", ["msgspec-decode", "json-loads"]),
        ("dict of 5 fields → Recon", "dumps", ["msgspec-encode", "json-dumps"]),
    ]:
        rate = medians[measured]["rate"]
        beside = ", ".join(f"{other.replace('-', '.')} {medians[other]['rate']:,.0f}" for other in others)
        made.append(
            Row(name, f"{rate:,.0f}/s", "≥ 1,000,000/s", rate >= 1_000_000, f"a CPU-second, unscaled; {beside}")
        )
    return made
