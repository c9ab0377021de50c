"""Which field puts the twins into groups."""

from __future__ import annotations

from typing import Any, NamedTuple

from shoal.infer.kinds import Guess
from shoal.infer.look import Look
from shoal.infer.names import word_set, words_of

_NOUNS = word_set(
    """
    feeder route line zone region site plant station substation depot fleet country city area cell room building floor
    group team type model class operator airline company customer tenant district segment cluster rack hall park
    warehouse store shop branch category
    """
)


_IDS = (["id"], ["no"], ["nr"], ["code"], ["number"])


class Grouping(NamedTuple):
    field: str
    values: int
    # some twin came twice, and always with the same value
    constant: bool


def candidates(
    look: Look, guesses: dict[str, Guess], key: str, taken: set[str], further: dict[str, list[Any]]
) -> list[Grouping]:
    """Fields that are the same for each twin and have fewer values than there are twins, the finest first."""
    found = []
    for name, guess in guesses.items():
        if name in taken or name == key or not possible(look, name, guess):
            continue
        grouping = describe(look, name, key, further)
        if grouping is None or not 4 <= grouping.values * 2 <= _twins(look, key, further):
            continue
        if grouping.constant or _named(name):
            found.append(grouping)
    return sorted(found, key=lambda each: (-each.values, not _named(each.field)))


def possible(look: Look, name: str, guess: Guess) -> bool:
    """Whether its values are texts, as a group's parameter is; numbers of rows are, where they name something."""
    if guess.kind in ("text", "choice"):
        return True
    return look.rows and guess.kind in ("whole", "number") and (_named(name) or words_of(name)[-1:] in _IDS)


def describe(look: Look, name: str, key: str, further: dict[str, list[Any]]) -> Grouping | None:
    """None where a twin has had two values."""
    if key in further and name in further:
        pairs = list(zip(further[key], further[name], strict=True))
    else:
        pairs = _pairs(look, key, name)
    known = [pair for pair in pairs if pair[0] is not None and pair[1] is not None]
    different = set(known)
    twins = {twin for twin, _ in different}
    if len(different) > len(twins):
        return None
    return Grouping(name, len({value for _, value in different}), len(known) >= 1.5 * len(twins))


def _pairs(look: Look, key: str, name: str) -> list[tuple[Any, Any]]:
    of = dict(zip(look.places[name], look.columns[name], strict=True))
    return [(twin, of.get(at)) for at, twin in zip(look.places[key], look.columns[key], strict=True)]


def _twins(look: Look, key: str, further: dict[str, list[Any]]) -> int:
    return len(set(further[key])) if key in further else len(set(look.columns[key]))


def _named(name: str) -> bool:
    return any(word in _NOUNS for word in words_of(name))
