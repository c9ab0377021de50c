"""The files that the benchmarks read: seeded, made once in ``build/bench``, the same bytes on every machine."""

import math
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "build" / "bench"
ENTITIES, EVENTS = 10_000, 1_000_000
TWINS = 1_000_000
METERS, FEEDERS, SUBSTATIONS, READINGS = 40_000, 200, 5, 1_000_000


def made(name: str, lines: Callable[[], Iterator[str]]) -> Path:
    """The path of the file, written whole or not at all."""
    target = FOLDER / name
    if not target.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}")
        with part.open("w") as out:
            out.writelines(lines())
        os.replace(part, target)
    return target


def warm(path: Path) -> None:
    """Into the page cache."""
    with path.open("rb") as file:
        while file.read(1 << 22):
            pass


def w1() -> Path:
    """1,000,000 events of 10,000 vehicles, each at least once: ``{id, t, speed, lat, lon}``."""
    return made(f"events_{ENTITIES}_{EVENTS}.jsonl", _w1)


def _w1() -> Iterator[str]:
    chance = random.Random(42)
    phase = [chance.random() * 6.283 for _ in range(ENTITIES)]
    order = list(range(ENTITIES))
    chance.shuffle(order)
    order += [int(chance.random() * ENTITIES) for _ in range(EVENTS - len(order))]
    for i, k in enumerate(order):
        speed = 75 + 25 * math.sin(i * 12.6 / EVENTS + phase[k]) + chance.uniform(-20, 20)
        lat, lon = 52 + chance.random(), 13 + chance.random()
        yield f'{{"id": "v{k}", "t": {i * 0.001:.3f}, "speed": {speed:.2f}, "lat": {lat:.5f}, "lon": {lon:.5f}}}\n'


def buses() -> Path:
    """1,000,000 events, each of another bus with an id of 8 characters: ``{id, lat, lon, speed}``."""
    return made(f"buses_{TWINS}.jsonl", _buses)


def _buses() -> Iterator[str]:
    chance = random.Random(42)
    order = list(range(TWINS))
    chance.shuffle(order)
    for k in order:
        lat, lon, speed = 52 + chance.random(), 13 + chance.random(), chance.uniform(0, 30)
        yield f'{{"id": "b{k:07}", "lat": {lat:.5f}, "lon": {lon:.5f}, "speed": {speed:.2f}}}\n'


def readings() -> Path:
    """1,000,000 readings of 40,000 meters in random order; a meter stays with its feeder: ``{meter, feeder, kw}``."""
    return made(f"readings_{METERS}_{READINGS}.jsonl", _readings)


def _readings() -> Iterator[str]:
    chance = random.Random(42)
    order = list(range(METERS))
    chance.shuffle(order)
    order += [int(chance.random() * METERS) for _ in range(READINGS - METERS)]
    for k in order:
        kw = chance.uniform(0.1, 9.0)
        yield f'{{"meter": "m{k:06}", "feeder": "f{k % FEEDERS:05}", "kw": {kw:.3f}}}\n'
