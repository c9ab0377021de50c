"""Runs that are killed at a random moment and started again, and what must be the same as if nothing had happened."""

from __future__ import annotations

import json
import math
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps import CASES

SECONDS = 60.0
DRIVER = Path(__file__).parent / "driver.py"
# lanes that say how often a twin was started, or are never saved
OF_A_RUN = {"starts", "scratch"}


class Process:
    """The driver in a process of its own; ``words`` are the lines that it has told."""

    def __init__(self, name: str, records: Path, folder: Path, *more: str) -> None:
        self.begun = time.monotonic()
        self.words: list[str] = []
        self._errors = (folder / "errors.txt").open("ab")
        command = [sys.executable, str(DRIVER), name, str(records), str(folder), *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0)

    def until(self, word: str) -> float:
        """Waits for a line that begins so, or for the process's end; the seconds since its start."""
        assert self.process.stdout is not None
        while True:
            left = self.begun + SECONDS - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                self.kill()
                raise AssertionError(f"no {word!r} within {SECONDS:g} s, but {self.words}")
            line = self.process.stdout.readline().decode().strip()
            if line:
                self.words.append(line)
            if not line or line.startswith(word):
                return time.monotonic() - self.begun

    def kill_after(self, seconds: float) -> bool:
        """SIGKILL when it is so old; false: it had ended by itself."""
        try:
            self.process.wait(max(0.0, self.begun + seconds - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            return True
        self.finish()
        return False

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.finish()

    def finish(self) -> None:
        assert self.process.stdout is not None
        code = self.process.wait(SECONDS)
        self.words += self.process.stdout.read().decode().splitlines()
        self.process.stdout.close()
        self._errors.close()
        assert code in (0, -signal.SIGKILL), Path(self._errors.name).read_text("utf-8", "replace")


@dataclass
class Reference:
    """What a run that nobody killed has come to, and how long it took, s."""

    name: str
    records: Path
    state: dict[str, Any]
    letters: list[dict[str, Any]]
    seconds: float


def reference(name: str, folder: Path, seed: int) -> Reference:
    case = CASES[name]
    records, run = folder / "records", folder / "run"
    records.mkdir(parents=True)
    run.mkdir()
    case.write(records, seed, case.count)
    process = Process(name, records, run, "-")
    seconds = process.until("ended")
    process.finish()
    return Reference(name, records, *_found(run), seconds)


def _found(run: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    path = run / "dead.jsonl"
    letters = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    return json.loads((run / "state.json").read_text("utf-8")), letters


def killed(of: Reference, folder: Path, seed: int) -> list[str]:
    """One round: some kills, then a run to the end, which must have come to the same. What happened, for a person."""
    rng = random.Random(seed)
    folder.mkdir(parents=True)
    story: list[str] = []
    ended = False
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        process = Process(of.name, of.records, folder)
        if rng.random() < 0.3:
            # in the start: before, in or just after the recovery
            at = process.until("opening") + rng.uniform(0.0, 0.02)
        else:
            at = rng.uniform(0.05, of.seconds * 1.1)
        ended = not process.kill_after(at)
        story.append(f"killed at {at:.3f} s: {process.words}" if not ended else "ended by itself")
        if ended:
            break
    if not ended:
        process = Process(of.name, of.records, folder)
        process.until("ended")
        process.finish()
        story.append(f"then {process.words}")
    # a run that finds all done changes nothing
    if rng.random() < 0.2:
        process = Process(of.name, of.records, folder)
        process.finish()
        story.append(f"once more {process.words}")
    state, letters = _found(folder)
    differences = compare(of, state, letters)
    assert not differences, "\n".join([f"seed {seed} in {folder}", *story, *differences[:30]])
    shutil.rmtree(folder)
    return story


def compare(of: Reference, state: dict[str, Any], letters: list[dict[str, Any]]) -> list[str]:
    is_ordered = CASES[of.name].ordered
    differences: list[str] = []
    _differ(_comparable(of.state, is_ordered), _comparable(state, is_ordered), of.name, differences)
    numbers = [letter["number"] for letter in letters]
    if len(set(numbers)) != len(numbers):
        differences.append(f"letters twice: {sorted(n for n in set(numbers) if numbers.count(n) > 1)[:9]}")
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        differences.append(f"{len(numbers)} letters with numbers up to {max(numbers, default=0)}")
    expected, found = _letters(of.letters, is_ordered), _letters(letters, is_ordered)
    if expected != found:
        missing = [letter for letter in expected if letter not in found]
        more = [letter for letter in found if letter not in expected]
        differences.append(f"letters: {len(found)} instead of {len(expected)}; missing {missing[:3]}, more {more[:3]}")
    for population in state["populations"].values():
        for twin in population["twins"]:
            if twin["lanes"].get("births", "Int(1)") != "Int(1)":
                differences.append(f"{twin['key']} was made {twin['lanes']['births']} times")
            if twin["lanes"].get("starts") == "Int(0)":
                differences.append(f"{twin['key']} was never started")
    return differences


def _letters(letters: list[dict[str, Any]], is_ordered: bool) -> list[str]:
    names = ("origin", "position", "node", "lane", "kind", "reason", "record")
    if is_ordered:
        return [str([letter["time"], *(letter.get(name) for name in names)]) for letter in letters]
    # commands between twins are numbered in the order in which they were sent
    texts = [
        str([letter.get(name) for name in names if name != "position" or not letter["origin"].startswith("/")])
        for letter in letters
    ]
    return sorted(texts)


def _comparable(state: dict[str, Any], is_ordered: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"sources": state["sources"], "between": state["between"]}
    if is_ordered:
        made |= {"timers": state["timers"], "now": state["now"]}
    for name, population in state["populations"].items():
        # groups are told at commits, which come whenever they come
        exact = is_ordered and name not in ("Route", "City")
        twins = {}
        for twin in population["twins"]:
            lanes = {lane: value for lane, value in twin["lanes"].items() if lane not in OF_A_RUN}
            maps = twin["maps"]
            if not exact:
                maps = {lane: {entry[0]: entry[1] for entry in entries} for lane, entries in maps.items()}
            twins[twin["key"]] = {"lanes": lanes, "maps": maps}
            if exact:
                twins[twin["key"]] |= {name: twin[name] for name in ("id", "hidden", "windows")}
        made[name] = twins
        if exact:
            made[f"{name}.next"] = population["next"]
    return made


def _differ(one: Any, other: Any, path: str, found: list[str]) -> None:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            _differ(one.get(name), other.get(name), f"{path}.{name}", found)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for at, pair in enumerate(zip(one, other, strict=True)):
            _differ(*pair, f"{path}[{at}]", found)
    elif one != other and not _are_near(path, one, other):
        found.append(f"{path}: {str(one)[:300]} became {str(other)[:300]}")


def _are_near(path: str, one: Any, other: Any) -> bool:
    """Sums over groups are exact enough to be 0 when the group is empty, not to the last bit."""
    if ".City." not in path and ".Route." not in path and ".All." not in path and ".Till." not in path:
        return False
    texts = (str(one), str(other))
    if not all(text.startswith("Float(") for text in texts):
        return False
    return math.isclose(*(float(text[6:-1]) for text in texts), rel_tol=1e-9, abs_tol=1e-9)
