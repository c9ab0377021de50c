"""Files of generated records, and what is inferred from them."""

import csv
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from shoal.infer import Choices, Look, Model, infer
from shoal.infer.report import lines

Records = Iterable[Mapping[str, Any]]
START = datetime(2026, 3, 2, tzinfo=UTC)


def write(file: Path, records: Records) -> Path:
    """By its suffix: JSON Lines, or CSV with the fields of the first record."""
    rows = list(records)
    if file.suffix == ".csv":
        with file.open("w", newline="", encoding="utf-8") as out:
            table = csv.DictWriter(out, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def readings(meters: int = 200, steps: int = 10) -> Records:
    """Smart meters as of the zero-code session: CSV's texts."""
    random = Random(7)
    for step in range(steps):
        for number in range(meters):
            yield {
                "meter": f"m{number:04d}",
                "feeder": f"f{number % 12}",
                "t": (START + timedelta(minutes=15 * step)).isoformat().replace("+00:00", "Z"),
                "kw": f"{random.random() * 5:.3f}",
                "volt": "" if random.random() < 0.03 else f"{225 + random.random() * 12:.1f}",
                "phase": f"L{number % 3 + 1}",
            }


def flights(planes: int = 40, steps: int = 50) -> Records:
    random = Random(8)
    for step in range(steps):
        for number in range(planes):
            yield {
                "time": 1_767_225_600 + step * 10,
                "icao24": f"{number * 7919:06x}",
                "callsign": f"DLH{number}" if number % 9 else None,
                "type": ["A320", "B738", "E190"][number % 3],
                "lat": 50 + random.random(),
                "lon": 8 + random.random(),
                "alt_ft": random.randrange(30_000, 39_000),
                "on_ground": random.random() < 0.1,
            }


def machines() -> Records:
    """Names, types and holes of all kinds."""
    for number in range(400):
        yield {
            "Machine No.": f"{number % 20:03d}",
            "ts": 1_767_225_600_000 + number * 500,
            "line": "ABCD"[number % 4],
            "at": number * 0.5,
            "class": ["x", "y"][number % 2],
            "Temp C": None if number % 7 == 0 else number / 3,
            "mixed": number if number % 3 else "n/a",
            "tags": ["a", {"deep": number}],
            "on": bool(number % 2),
            "lat": 50 + number / 1_000,
            "lon": 8.5,
            "_x": number,
            "str": "text",
            "Latest": 1.5,
            "seen_count": number,
            "created": "2026-01-01T00:00:00Z",
            'quote"d': 'a "quoted" text\\',
            "nothing": None,
        }


def look(file: Path, **choices: Any) -> tuple[Look, Model]:
    looked = Look(str(file), choices.pop("look", 10_000))
    try:
        return looked, infer(looked, Choices(**choices))
    finally:
        looked.close()


def model(file: Path, **choices: Any) -> Model:
    return look(file, **choices)[1]


def said(file: Path, **choices: Any) -> list[str]:
    """What a person reads."""
    looked = Look(str(file), choices.pop("look", 10_000))
    try:
        return list(lines(looked, infer(looked, Choices(**choices))))
    finally:
        looked.close()


def kinds(model: Model) -> dict[str, str]:
    return {field.name: field.kind for field in model.fields}
