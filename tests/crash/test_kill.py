"""Killed at any moment and started again, a run comes to the same as one that was never killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from killing import Reference, killed, reference

from apps import CASES

References = Callable[[str], Reference]


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> References:
    made: dict[str, Reference] = {}

    def get(name: str) -> Reference:
        if name not in made:
            made[name] = reference(name, tmp_path_factory.mktemp(name), seed=1)
        return made[name]

    return get


@pytest.mark.slow
@pytest.mark.parametrize(("name", "seed"), [(list(CASES)[seed % len(CASES)], seed) for seed in range(10)])
def test_a_killed_run_comes_to_the_same(name: str, seed: int, references: References, tmp_path: Path) -> None:
    killed(references(name), tmp_path / "round", seed)


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_200_killed_runs_come_to_the_same(name: str, references: References, tmp_path: Path) -> None:
    for seed in range(1_000, 1_000 + 200 // len(CASES) + 1):
        killed(references(name), tmp_path / str(seed), seed)
