"""``shoal twin FILE``: what it says, what it runs, and the program that it writes."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inferring import Records, flights, look, machines, readings, write

from shoal.app import App
from shoal.cli import main
from shoal.infer.late import Late
from shoal.infer.model import Choices
from shoal.infer.program import load
from shoal.infer.program import write as program
from shoal.run import Run, RunOptions, with_loop
from shoal.sources import Inferred


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("shoal_twin_", "ejected")):
            del sys.modules[name]


def ran(app: App[Any], folder: Path, inferred: Inferred | None = None) -> dict[str, Any]:
    """The whole state after a run to the end."""
    made = Run(app, options=RunOptions(once=True, dead_letters=folder / "dead.jsonl", inferred=inferred))
    try:
        with_loop(made.until_done())
        state: dict[str, Any] = json.loads(made.shard.dump())
    finally:
        made.close()
    return state


def twinned(file: Path, folder: Path, **choices: Any) -> dict[str, Any]:
    _, model = look(file, **choices)
    module = load(model, program(model, "shoal twin"))
    late = Late(model, module, Choices(sets=choices.get("sets", {})))
    return ran(module.__dict__["app"], folder, Inferred(None, tuple(model.ignored), late.on_news, late.on_letter))


def ejected(file: Path) -> App[Any]:
    spec = importlib.util.spec_from_file_location(f"ejected_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    app: App[Any] = module.app
    return app


SOURCES = {"readings.csv": readings, "flights.jsonl": flights, "machines.jsonl": machines}


@pytest.mark.parametrize("name", SOURCES)
def test_the_ejected_program_gives_the_same_state(name: str, tmp_path: Path) -> None:
    file = write(tmp_path / name, SOURCES[name]())
    assert main(["twin", str(file), "--eject", "app.py"]) == 0
    assert main(["twin", str(file), "--eject", "again.py", "--group", "none"]) == 0
    state = twinned(file, tmp_path)
    again = ran(ejected(tmp_path / "app.py"), tmp_path)
    # how the commits fell is not the same in any two runs
    for part in ("populations", "timers", "now", "inner"):
        assert again[part] == state[part]
    assert len(state["populations"]) == 2
    assert not (tmp_path / "dead.jsonl").exists()


@pytest.mark.slow
def test_ejected_programs_are_in_the_usual_format(tmp_path: Path) -> None:
    for name, make in SOURCES.items():
        file = write(tmp_path / name, make())
        assert main(["twin", str(file), "--eject", f"{file.stem}_app.py"]) == 0
    programs = sorted(path.name for path in tmp_path.glob("*_app.py"))
    assert len(programs) == len(SOURCES)
    for command in (
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--isolated",
            "--line-length",
            "120",
            "--select",
            "E,F,I,UP",
            *programs,
        ],
        [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "120", "--check", *programs],
    ):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_program_is_written_over_by_force_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "readings.csv", readings(20))
    (tmp_path / "app.py").write_text("mine")
    assert main(["twin", "readings.csv", "--eject", "app.py"]) == 2
    assert "app.py exists; --force replaces it" in capsys.readouterr().err
    assert (tmp_path / "app.py").read_text() == "mine"
    assert main(["twin", file.name, "--eject", "app.py", "--force"]) == 0
    text = (tmp_path / "app.py").read_text()
    assert "    shoal twin readings.csv --eject app.py\n" in text
    assert main(["twin", file.name, "--eject", "no/such/folder/app.py"]) == 2


def test_a_run_to_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "readings.csv", readings())
    assert main(["twin", "readings.csv", "--once"]) == 0
    out = capsys.readouterr().out
    assert "running readings   (--key, --time, --group, --set change the above; --eject app.py writes it down)" in out
    assert "readings.csv: 2,000 read = 2,000 applied + 0 filtered + 0 dead-lettered + 0 waiting" in out
    assert "212 twins" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.csv"], "nothing.csv does not exist"),
        (["readings.csv", "--key", "meterr"], "did you mean `meter`?"),
        (["readings.csv", "--set", "kw"], "--set kw: write FIELD=TYPE"),
        (["readings.csv", "--group", "none", "--group", "feeder"], "--group none goes with no other"),
        (["readings.csv", "--tz", "Europe/Berln"], "no such time zone"),
    ],
)
def test_mistakes(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "readings.csv", readings(20))
    assert main(["twin", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_standard_input_is_looked_at_and_loses_no_record(tmp_path: Path) -> None:
    text = write(tmp_path / "flights.jsonl", flights()).read_bytes()
    command = [sys.executable, "-m", "shoal.cli", "twin", "-", "--once", "--look", "100"]
    done = subprocess.run(command, input=text, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    out = done.stdout.decode()
    assert out.startswith("standard input: looked at 100 records\n")
    assert "stdin: 2,000 read = 2,000 applied + 0 filtered" in out


# -- later fields


def late_records() -> Records:
    for number in range(300):
        record: dict[str, Any] = {"id": f"s{number % 6}", "line": f"l{number % 2}", "x": number * 0.5}
        record["t"] = 1_767_225_600 + number
        if number >= 100:
            record["humidity_pct"] = float(number)
        if number == 150:
            record["note"] = "from now on"
            record["nested"] = {"a": [1]}
        if number >= 200:
            record["empty"] = None
        yield record


def lanes(state: dict[str, Any], population: str, names: list[str]) -> list[list[str]]:
    return [twin["cells"] for twin in state["populations"][population]["twins"]]


def test_a_later_field_becomes_a_lane(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    file = write(tmp_path / "sensors.jsonl", late_records())
    _, model = look(file, look=50)
    module = load(model, program(model, "shoal twin"))
    app = module.__dict__["app"]
    late = Late(model, module, Choices())
    seen: dict[str, Any] = {}

    def on_news(run: Run, position: int, text: bytes) -> list[str]:
        passed = late.on_news(run, position, text)
        sensor = app.classes[0].__shoal__
        lane = sensor.lanes["humidity_pct"].column
        seen[f"{position}"] = run.shard.read(0, ("s0",), lane)
        return passed

    made = Run(
        app,
        options=RunOptions(
            once=True, dead_letters=tmp_path / "dead", inferred=Inferred(None, (), on_news, late.on_letter)
        ),
    )
    try:
        with_loop(made.until_done())
        sensor, line = (cls.__shoal__ for cls in app.classes)

        def read(number: int, key: str, name: str) -> Any:
            schema = (sensor, line)[number]
            lane = next(each for each in schema.lanes.values() if each.name == name)
            return made.shard.read(number, (key,), lane.column)

        assert read(0, "s0", "humidity_pct") == 294.0
        assert read(0, "s0", "humidity_pct.max") == 294.0
        assert read(0, "s0", "humidity_pct.mean") == sum(range(102, 300, 6)) / 33
        assert read(1, "l0", "humidity_pct.sum") == 294.0 + 296.0 + 298.0
        assert read(1, "l0", "humidity_pct.mean") == 296.0
        assert read(1, "l0", "x.sum") == (294 + 296 + 298) * 0.5
        assert read(0, "s0", "note") == "from now on"
        assert read(0, "s0", "nested") == {"a": [1]}
        assert read(0, "s1", "note") is None
        assert read(0, "s0", "x.max") == 147.0
        totals = made.totals()
    finally:
        made.close()
    # seen at a commit, before the record itself is applied
    assert seen == {"101": None, "151": 144.0}
    assert [counts.applied for counts in totals.sources.values()] == [300]
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"{file}:101: new field humidity_pct: number, unit % -> Latest, and Max, Mean of the last hour",
        f"{file}:151: new field note: text -> Latest",
        f"{file}:151: new field nested: value -> Latest",
    ]


def test_what_was_later_is_the_same_as_what_was_known_from_the_start(tmp_path: Path) -> None:
    file = write(tmp_path / "sensors.jsonl", late_records())
    early, late = twinned(file, tmp_path), twinned(file, tmp_path, look=50)
    for population in ("Sensor", "Line"):
        twins = [
            {twin["key"]: sorted(twin["cells"]) for twin in state["populations"][population]["twins"]}
            for state in (early, late)
        ]
        # the same values, in another order of columns
        assert twins[0] == twins[1]


def test_a_column_that_was_empty_at_first_becomes_a_lane(tmp_path: Path) -> None:
    rows = [{"id": f"s{i % 3}", "x": i, "note": "" if i < 80 else i} for i in range(100)]
    state = twinned(write(tmp_path / "sensors.csv", rows), tmp_path, look=50)
    assert any("Float(99.0)" in twin["cells"] for twin in state["populations"]["Sensor"]["twins"])


def test_ignored_fields_are_no_news(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    records = [{"id": "a", "x": 1, "y": "z", **({"later": 1} if i > 60 else {})} for i in range(100)]
    file = write(tmp_path / "sensors.jsonl", records)
    _, model = look(file, look=50, sets={"y": "ignore"})
    module = load(model, program(model, "shoal twin"))
    late = Late(model, module, Choices(sets={"later": "ignore"}))
    ran(module.__dict__["app"], tmp_path, Inferred(None, tuple(model.ignored), late.on_news, late.on_letter))
    assert [record.getMessage() for record in caplog.records] == [f"{file}:62: new field later: passed over"]


# -- values that do not fit


@pytest.mark.parametrize(
    ("suffix", "record", "reason"),
    [
        (".csv", {"x": "n/a"}, "Expected `float | null`, got 'n/a' - at `$.x`; --set x=text takes it as text"),
        (".csv", {"state": "new"}, "Invalid enum value 'new' - at `$.state`; --set state=text takes it as text"),
        (".jsonl", {"x": "n/a"}, "Expected `float | null`, got `str` - at `$.x`; --set x=value takes it as it comes"),
        (".jsonl", {"seen_count": 1.5}, "--set seen_count=number takes fractions, too"),
        (".jsonl", {"t": "noon"}, "--time none takes records at the time when they arrive"),
        (".jsonl", {"lat": None}, "--set lat=number makes it a plain number that may be missing"),
    ],
)
def test_a_value_that_does_not_fit_is_a_dead_letter_with_the_way_out(
    suffix: str, record: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    def records() -> Records:
        for i in range(200):
            yield {
                "id": f"a{i % 10}",
                "t": f"2026-01-01T00:{i // 60:02d}:{i % 60:02d}Z",
                "x": i * 0.5,
                "state": ["on", "off"][i // 3 % 2],
                "seen_count": i,
                "lat": 50.0,
                "lon": 8.0,
                **(record if i == 150 else {}),
            }

    file = write(tmp_path / f"things{suffix}", records())
    twinned(file, tmp_path, look=100)
    (letter,) = [json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines()]
    assert letter["reason"].endswith(reason)
    name, _, way = reason.rpartition("--set ")[2].partition("=")
    if way:
        (tmp_path / "dead.jsonl").unlink()
        twinned(file, tmp_path, look=100, sets={name: way.split()[0]})
        assert not (tmp_path / "dead.jsonl").exists()
