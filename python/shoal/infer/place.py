"""A pair of fields that is a place on the earth."""

from __future__ import annotations

import re

from shoal.infer.kinds import Guess
from shoal.infer.look import Look

_LAT = re.compile(r"(?i)(?P<before>.*?)(?<![a-z])(lat|latitude)(?![a-z])(?P<after>.*)")
_LON = ("lon", "lng", "long", "longitude")


def pair(look: Look, guesses: dict[str, Guess]) -> tuple[str, str, str] | None:
    """(latitude, longitude, why), or (latitude, longitude, "") with a hole in one of them. None: there is no pair."""
    for lat, guess in guesses.items():
        match = _LAT.fullmatch(lat)
        if match is None or guess.kind not in ("number", "whole"):
            continue
        wanted = {f"{match['before']}{lon}{match['after']}".lower() for lon in _LON}
        for lon, other in guesses.items():
            if lon.lower() in wanted and other.kind in ("number", "whole"):
                if not (_within(look, lat, 90.0) and _within(look, lon, 360.0, -180.0)):
                    continue
                whole = len(look.columns[lat]) == len(look.columns[lon]) == look.count
                return lat, lon, "in degrees, by their names and ranges" if whole else ""
    return None


def _within(look: Look, name: str, most: float, least: float | None = None) -> bool:
    least = -most if least is None else least
    return all(least <= float(each) <= most for each in look.columns[name])
