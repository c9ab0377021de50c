"""The meters application without windows, histories and alarms with a source, which come later: its own tests pass."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
LATER = ("quarter =", "peak =", "undervoltage =", "alarm =", "trend =", ".alarm.active")


def load(name: str) -> ModuleType:
    path = EXAMPLES / f"{name}.py"
    lines = path.read_text("utf-8").splitlines()
    # blank lines in their place keep the line numbers
    source = "\n".join("" if any(part in line for part in LATER) else line for line in lines)
    module = ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


@pytest.fixture(scope="module")
def tests() -> dict[str, object]:
    before = {name: sys.modules.get(name) for name in ("meters", "test_meters")}
    load("meters")
    found = dict(vars(load("test_meters")))
    for name, module in before.items():
        if module is None:
            del sys.modules[name]
        else:
            sys.modules[name] = module
    return found


@pytest.mark.parametrize(
    "name",
    [
        "test_feeder_sums_its_meters_and_raises_an_alarm",
        "test_a_meter_that_moves_leaves_its_feeder",
        "test_substation_sums_feeders",
        "test_bad_reading_is_refused_with_the_reason",
    ],
)
def test_meters(tests: dict[str, object], name: str) -> None:
    test = tests[name]
    assert callable(test)
    test()
