"""What the values of one field are."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Literal, NamedTuple

# "choice": a text of few values; "value": kept as it comes; "empty": nobody knows yet; "ignored": by the user
Kind = Literal["number", "whole", "text", "choice", "bool", "time", "value", "empty", "ignored"]

# A text of more values is any text.
MOST_CHOICES = 12
# Nor is one whose type would not be read at a glance (characters).
_LONGEST_CHOICES = 80
# How often the values of a choice come on average, at least.
_REPEATS = 20

_WHOLE = re.compile(r" *-?(0|[1-9][0-9]*) *")
_NUMBER = re.compile(r" *-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? *")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)
_ALMOST_TIME = re.compile(r"[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}([Tt ][0-9]{1,2}:[0-9]{2}.*)?")
# Names of fields that count or number things: what is whole there stays whole.
_COUNTS = re.compile(r"(?i)(^|_)(n|num|number|count|counter|qty|quantity|seq|sequence|index|id|code|version|year)$")


class Guess(NamedTuple):
    """What a field's values seem to be, and why, for a person."""

    kind: Kind
    why: str = ""
    choices: tuple[str, ...] = ()


def guess(name: str, values: list[Any], rows: bool) -> Guess:
    """``values`` are those that are not empty; ``rows``: all of them are texts of a delimited file."""
    if not name or re.search(r'["\\\x00-\x1f]', name):
        return Guess("ignored", "no lane can have this name")
    if not values:
        return Guess("empty", "empty in every record: a lane when its first value comes")
    if rows:
        return _of_texts(name, values)
    types = Counter(map(type, values))
    if set(types) <= {int, float}:
        return Guess(_number(name, values) if set(types) == {int} else "number")
    if set(types) == {bool}:
        return Guess("bool")
    if set(types) == {str}:
        return _of_words(values, "numbers in quotes: kept as text" if _all(_NUMBER, values) else "")
    kinds = Counter(_WORDS[type(each)] for each in values)
    words = ", ".join(f"{each} in {share(n, len(values))}" for each, n in kinds.most_common())
    if set(types) <= {dict, list}:
        return Guess("value", f"{'objects' if dict in types else 'lists'}: kept as they come")
    return Guess("value", f"{words}: kept as it comes")


_WORDS: dict[type, str] = {int: "number", float: "number", str: "text", bool: "bool", list: "list", dict: "object"}


def of_one(name: str, value: Any, rows: bool) -> Guess:
    """What the first value of a field tells alone."""
    found = guess(name, [value], rows)
    return Guess("text") if found.kind in ("choice", "time") else found


def _of_texts(name: str, values: list[str]) -> Guess:
    some = list(dict.fromkeys(values))
    if {each.strip(" ").lower() for each in some} <= {"true", "false"}:
        return Guess("bool")
    if _all(_WHOLE, some):
        return Guess(_number(name, [int(each) for each in some]))
    if _all(_NUMBER, some):
        return Guess("number")
    numbers = sum(_NUMBER.fullmatch(each) is not None for each in values)
    if numbers * 2 > len(values):
        return Guess("text", f"number in {share(numbers, len(values))}, text in the others: kept as text")
    if any(re.fullmatch(r" *0[0-9]+ *", each) for each in some) and all(each.strip(" ").isdigit() for each in some):
        return Guess("text", "digits with leading zeros: kept as text")
    return _of_words(values, "")


def _of_words(values: list[str], why: str) -> Guess:
    some = list(dict.fromkeys(values))
    if _all(_TIME, some):
        return Guess("time")
    if _all(_ALMOST_TIME, some):
        return Guess("text", "looks like a time, but not one of ISO 8601 with a time of day: kept as text")
    if why:
        return Guess("text", why)
    # a set of values that was complete early, and none of which is a rarity
    counts = Counter(values)
    closed = (
        2 <= len(some) <= MOST_CHOICES
        and len(values) >= _REPEATS * len(some)
        and min(counts.values()) >= 2
        and sum(len(each) + 4 for each in some) <= _LONGEST_CHOICES
        and set(values[: len(values) // 2]) == set(some)
    )
    if closed:
        return Guess("choice", "", tuple(sorted(some)))
    return Guess("text")


def _number(name: str, values: list[int]) -> Kind:
    """Whole numbers are measured on the next day as 3.5: they stay whole where they count, or where a float would not
    hold them."""
    return "whole" if _COUNTS.search(name) or max(map(abs, values)) > 2**53 else "number"


def _all(pattern: re.Pattern[str], texts: list[str]) -> bool:
    return all(map(pattern.fullmatch, texts))


def share(part: int, whole: int) -> str:
    percent = 100 * part / whole
    return f"{percent:.1f} %" if 0.05 <= percent < 99.95 else "under 0.1 %" if percent < 0.05 else "over 99.9 %"
