"""Which field names the twin."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from shoal.infer.kinds import Guess
from shoal.infer.look import Look
from shoal.infer.names import singular, word_set, words_of

_NOUNS = word_set(
    """
    meter device sensor machine vehicle bus tram train truck car ship vessel aircraft plane flight tail hex icao
    icao24 callsign vin imei imsi mac mmsi serial station host node user customer account asset tag turbine pump robot
    drone bike scooter player container battery inverter router server pod valve motor thing unit name
    """
)
# Each record has its own, or many records of many twins share one.
_OF_EVENTS = word_set(
    """
    event message msg record row order transaction request trace span session log seq
    """
)
_LIKELY = 20


class Candidate(NamedTuple):
    field: str
    score: float
    # different values in ``seen`` records
    distinct: int
    seen: int


def candidates(look: Look, guesses: dict[str, Guess], stem: str) -> list[Candidate]:
    """Fields that could be the key, the likeliest first. Only those that every record has."""
    found = []
    for place, (name, values) in enumerate(look.columns.items()):
        if name not in guesses:
            continue
        if len(values) == look.count and guesses[name].kind in ("text", "choice", "whole", "number"):
            integral = look.rows or all(type(value) in (int, str) for value in values)
            if integral and not (look.rows and guesses[name].kind == "number" and any("." in each for each in values)):
                distinct = len(set(values))
                score = _name_score(name, stem) + _value_score(guesses[name], values, distinct) + max(0, 5 - 2 * place)
                found.append(Candidate(name, score, distinct, look.count))
        elif values and len(values) == look.count and guesses[name].kind == "value" and _mixed(values):
            found.append(Candidate(name, _name_score(name, stem), len(set(map(str, values))), look.count))
    return sorted(found, key=lambda each: -each.score)


def likely(found: list[Candidate]) -> Candidate | None:
    return found[0] if found and found[0].score >= _LIKELY else None


def _mixed(values: list[Any]) -> bool:
    return all(type(value) in (int, str) for value in values)


def _name_score(name: str, stem: str) -> float:
    words = words_of(name)
    if not words:
        return 0.0
    if words in (["id"], ["key"], ["uuid"], ["guid"]):
        return 45.0
    score = 0.0
    if words[-1] in ("id", "key", "uuid", "guid", "no", "number", "nr", "code"):
        score += 35.0 if words[-1] in ("id", "key", "uuid", "guid") else 20.0
        words = words[:-1]
    if words and words[-1] == singular(words_of(stem)[-1] if words_of(stem) else ""):
        score += 30.0
    elif words and (words[-1] in _NOUNS or words[0] in _NOUNS):
        score += 30.0 if words[-1] != "name" else 12.0
    if words and words[0] in _OF_EVENTS:
        score -= 30.0
    return score


def _value_score(guess: Guess, values: list[Any], distinct: int) -> float:
    score = 0.0
    if distinct == len(values) and len(values) > 1:
        score -= 5.0
    elif len(values) > 1:
        score += 10.0 + 12.0 * math.log(max(distinct, 1)) / math.log(len(values))
    if guess.kind in ("whole", "number"):
        score -= 25.0
    if guess.kind in ("text", "choice"):
        some = [str(value) for value in values[:200]]
        if sum(map(len, some)) > 40 * len(some) or sum(" " in each for each in some) * 2 > len(some):
            score -= 20.0
        # a code such as m00017 or 3c6444
        if sum(re.search("[0-9]", each) is not None for each in some) * 2 > len(some):
            score += 5.0
    return score
