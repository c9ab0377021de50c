"""Stores that earlier versions have written open for ever, and go on."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from stores import HERE, opened, state, to_the_end

pytestmark = pytest.mark.slow

FORMATS = sorted(path.name for path in HERE.glob("format-*"))


def test_every_format_has_a_store() -> None:
    assert FORMATS == ["format-1"]


@pytest.fixture
def copy(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = shutil.copytree(HERE / request.param, tmp_path / "copy")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(("copy", "name"), [(name, name) for name in FORMATS], indirect=["copy"])
def test_a_store_of_this_format_is_what_it_was(copy: Path, name: str) -> None:
    expected = json.loads((copy / "expected.json").read_text("utf-8"))
    run = opened(HERE / name, copy)
    assert run.recovered is not None
    assert run.recovered.notes == []
    assert run.recovered.checkpoint > 0
    assert run.recovered.records > 0
    found = state(run)
    run.shard.close_journal(20.0)
    run.close()
    assert found == expected["opened"]
    assert to_the_end(HERE / name, copy) == expected["ended"]
    # and again, as this version has written it; what is never saved is as in a new twin
    for lanes in expected["ended"].values():
        lanes |= {"scratch": 7} if "scratch" in lanes else {}
    assert to_the_end(HERE / name, copy) == expected["ended"]


@pytest.mark.parametrize(("copy", "name"), [(name, name) for name in FORMATS], indirect=["copy"])
def test_a_store_of_this_format_goes_on_as_if_it_had_never_stopped(copy: Path, name: str) -> None:
    def saved(found: dict[str, Any]) -> dict[str, Any]:
        # groups are made at commits, which come whenever they come: one may never have been seen with a member
        twins = {uri: lanes for uri, lanes in found.items() if lanes.get("known") != 0}
        return {uri: {lane: x for lane, x in lanes.items() if lane != "scratch"} for uri, lanes in twins.items()}

    went_on = saved(to_the_end(HERE / name, copy))
    shutil.rmtree(copy / "store")
    assert saved(to_the_end(HERE / name, copy)) == went_on
