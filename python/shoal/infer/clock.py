"""Which field tells the time."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from shoal.infer.kinds import Guess, share
from shoal.infer.look import Look
from shoal.infer.names import words_of

_NAMES = [
    "event_time", "time", "timestamp", "ts", "t", "datetime", "date", "at", "when", "recorded", "measured", "observed",
    "seen", "received", "created", "updated", "epoch", "utc", "now",
]  # fmt: skip
# Seconds since 1970 of the years 1990 to 2100, and what they are multiplied by.
_FIRST, _LAST = 631_152_000, 4_102_444_800
_SCALES = {"s": 1, "ms": 1_000, "µs": 1_000_000}
_NANOSECONDS = 1_000_000_000


class Clock(NamedTuple):
    field: str
    why: str
    # the times have no zone
    local: bool = False


def candidates(look: Look, guesses: dict[str, Guess], further: dict[str, list[Any]]) -> list[Clock]:
    """Fields that could be the events' time, the likeliest first."""
    found: list[tuple[int, int, Clock]] = []
    for place, (name, guess) in enumerate(guesses.items()):
        clock = describe(look, name, guess, further)
        rank = _rank(name)
        # a number without a name for it is a time where it grows like one
        if clock is None or (rank is None and guess.kind != "time" and not clock.why.endswith("rising")):
            continue
        found.append((len(_NAMES) if rank is None else rank, place, clock))
    return [clock for *_, clock in sorted(found, key=lambda each: each[:2])]


def describe(look: Look, name: str, guess: Guess, further: dict[str, list[Any]]) -> Clock | None:
    """None where the values are no times that the core reads."""
    values = look.columns.get(name, [])
    if not values:
        return None
    order = [each for each in further.get(name, values) if each is not None]
    if guess.kind == "time":
        zones = sum(re.search(r"([Zz]|[+-][0-9]{2}:?[0-9]{2})$", each) is not None for each in values)
        zone = "with zone" if zones == len(values) else "without zone" if zones == 0 else "some without zone"
        moments = [_moment(each) for each in order if isinstance(each, str)]
        return Clock(name, f"ISO 8601, {_order(moments)}, {zone}", zones < len(values))
    if guess.kind in ("number", "whole"):
        numbers = [float(each) for each in values]
        for unit, scale in _SCALES.items():
            if all(_FIRST * scale <= each <= _LAST * scale for each in numbers):
                return Clock(name, f"{unit} since 1970, {_order(list(map(_number, order)))}")
    return None


def wrong(look: Look, name: str, guess: Guess) -> str:
    """Why a field cannot be the time."""
    if guess.kind in ("number", "whole") and look.columns[name]:
        numbers = [float(each) for each in look.columns[name]]
        if all(_FIRST * _NANOSECONDS <= each <= _LAST * _NANOSECONDS for each in numbers):
            return "it holds nanoseconds; the clock reads s, ms and µs since 1970"
        return "its numbers are no s, ms or µs since 1970"
    if guess.kind == "empty":
        return "it is empty in every record"
    return "its texts are no times of ISO 8601, such as 2026-03-01T12:00:00Z"


def _rank(name: str) -> int | None:
    words = words_of(name)
    joined = "_".join(words)
    for rank, known in enumerate(_NAMES):
        if joined == known or (words and words[-1] == known) or (words and words[0] == known):
            return rank
    return None


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (ValueError, TypeError):
        return None


@lru_cache(maxsize=10_000)
def _moment(text: str) -> Any:
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else (moment - datetime(1970, 1, 1)).total_seconds()


def _order(moments: list[Any]) -> str:
    known = [each for each in moments if each is not None]
    high, late = float("-inf"), 0
    for each in known:
        late += each < high
        high = max(high, each)
    if not late:
        return "rising" if any(a < b for a, b in pairwise(known)) else "always the same"
    return f"earlier than one before it in {share(late, len(known))}: those are taken at the clock's time"
