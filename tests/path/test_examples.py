"""The examples that this version carries out: they import, and the roll-up runs on a file of its own."""

import importlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from runs import run


@pytest.mark.parametrize("name", ["first_app", "factory", "rollup"])
def test_an_example_imports_and_declares_an_app(name: str) -> None:
    app = importlib.import_module(name).app
    data, classes, functions = app.declaration()
    assert data
    assert len(classes) == len(functions) > 1


def test_the_roll_up_agrees_with_a_plain_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import rollup

    numbers = random.Random(7)
    latest: dict[str, tuple[str, float]] = {}
    with (tmp_path / "readings.jsonl").open("w") as out:
        for _ in range(5_000):
            meter, feeder, kw = f"m{numbers.randrange(200)}", f"f{numbers.randrange(10)}", numbers.randrange(1_000) / 8
            latest[meter] = (feeder, kw)
            out.write(json.dumps({"meter": meter, "feeder": feeder, "kw": kw}) + "\n")
    monkeypatch.chdir(tmp_path)
    done = run(rollup.app, tmp_path)
    assert (done.counts.applied, done.letters) == (5_000, [])
    plain: dict[str, float] = {}
    for feeder, kw in latest.values():
        plain[f"/feeder/{feeder}"] = plain.get(f"/feeder/{feeder}", 0.0) + kw
    loads: dict[str, Any] = {uri: twin["load"] for uri, twin in done.twins.items() if uri.startswith("/feeder/")}
    assert loads == plain
