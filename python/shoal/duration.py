"""Spans of time as users write them: ``90``, ``timedelta(minutes=1.5)``, ``"90 s"``, ``"500 ms"``, ``"15 min"``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TypeAlias

from shoal.errors import WrongType

Seconds: TypeAlias = float | timedelta | str

_UNITS = {"ms": 1_000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_TEXT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*(ms|s|min|h|d)\s*")
_LONGEST = 2**62
_known: dict[str, int] = {}


def microseconds(value: Seconds) -> int:
    """Whole microseconds, 0 or more. Numbers are seconds. Errors: WrongType with the accepted forms."""
    if isinstance(value, str):
        span = _known.get(value)
        if span is None:
            span = _parse(value)
            if len(_known) < 1_000:
                _known[value] = span
        return span
    if isinstance(value, timedelta):
        span = value // timedelta(microseconds=1)
    elif type(value) in (int, float) and abs(value) < _LONGEST / 1e6:
        span = round(value * 1_000_000)
    else:
        raise WrongType(f"{value!r} is no span of time; {_FORMS}")
    if not 0 <= span <= _LONGEST:
        raise WrongType(f"{value!r} is out of range: a span of time is 0 or more; {_FORMS}")
    return span


_FORMS = 'write seconds as a number (90), a timedelta, or a text with a unit of ms, s, min, h or d ("90 s", "15 min")'


def _parse(text: str) -> int:
    match = _TEXT.fullmatch(text)
    if match is None:
        raise WrongType(f"{text!r} is no span of time; {_FORMS}")
    span = round(float(match[1]) * _UNITS[match[2]])
    if span > _LONGEST:
        raise WrongType(f"{text!r} is out of range; {_FORMS}")
    return span
