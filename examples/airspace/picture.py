"""The map: aircraft as arrows over their trails, coloured by altitude. Pure drawing, no terminal."""

import math
from collections import deque
from itertools import groupby, pairwise

from rich.text import Text

from airspace.snapshot import AircraftReading

SOUTH, NORTH, WEST, EAST = 47.70, 50.02, 0.75, 4.10
ASPECT = 0.656  # a degree of longitude over a degree of latitude, at 49° north
LANDMARKS = {"CDG": (49.010, 2.548), "ORY": (48.723, 2.379), "LBG": (48.969, 2.441), "BVA": (49.454, 2.113)}
ROOMY = 56  # characters; a narrower map has no room for names
ARROWS = "↑↗→↘↓↙←↖"
# (up to ft, colour): warm near the ground, cold above, as flight trackers have it
SCALE = ((3_000, "#ff8c1a"), (8_000, "#ffd11a"), (15_000, "#7fe03a"), (24_000, "#2fd6c4"), (33_000, "#4aa3ff"))
TOP = "#b98cff"
TRAIL = 90  # positions
LEAP = 0.15  # degrees; positions further apart are not joined
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # bits of a braille character by row and column


def colour(altitude: float | None) -> str:
    if altitude is None:
        return "#8a8f98"
    return next((name for up_to, name in SCALE if altitude < up_to), TOP)


def legend() -> Text:
    line = Text("altitude ", style="dim")
    for up_to, name in SCALE:
        line.append("■", style=name).append(f"<{up_to // 1000}k ", style="dim")
    return line.append("■", style=TOP).append("above ", style="dim")


class Picture:
    """Keeps the trails between frames and draws frames of any size."""

    def __init__(self) -> None:
        self.trails: dict[str, deque[tuple[float, float, float | None]]] = {}

    def follow(self, aircraft: list[AircraftReading]) -> None:
        """Add the present positions to the trails; whoever is silent loses its trail."""
        for one in aircraft:
            if one.position is None or one.phase == "silent":
                self.trails.pop(one.icao24, None)
                continue
            trail = self.trails.setdefault(one.icao24, deque(maxlen=TRAIL))
            if not trail or trail[-1][:2] != one.position:
                trail.append((*one.position, one.altitude))

    def draw(self, aircraft: list[AircraftReading], width: int, height: int) -> Text:
        """``height`` lines of ``width`` characters."""
        frame = Frame(width, height)
        for trail in self.trails.values():
            frame.trail(list(trail))
        for name, (latitude, longitude) in LANDMARKS.items():
            frame.write(latitude, longitude, "+" + name if width >= ROOMY else "+", "#9aa0aa")
        for one in sorted(aircraft, key=lambda one: (one.emergency != "", one.sinking, one.airborne)):
            if one.position is not None and one.phase != "silent":
                frame.write(*one.position, *symbol(one))
        return frame.text()


def symbol(one: AircraftReading) -> tuple[str, str]:
    if not one.airborne:
        return "·", "#8a8f98"
    arrow = "•" if one.track is None else ARROWS[round(one.track / 45) % 8]
    if one.emergency:
        return arrow + one.callsign, "bold white on red"
    if one.sinking:
        return arrow, "bold black on #ffd11a"
    return arrow, "bold " + colour(one.altitude)


class Frame:
    """One picture being drawn: characters over braille dots, each with a style. The region keeps its proportions."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = max(width, 1), max(height, 1)
        self.dots = [[0] * self.width for _ in range(self.height)]
        self.letters = [[""] * self.width for _ in range(self.height)]
        self.styles = [[""] * self.width for _ in range(self.height)]
        # dots a degree; a character is 2 dots wide and 4 high, and dots are square
        down = self.height * 4 / (NORTH - SOUTH)
        across = self.width * 2 / (EAST - WEST)
        self.down = min(down, across / ASPECT * 1.35)
        self.across = min(across, down * ASPECT * 1.35)

    def place(self, latitude: float, longitude: float) -> tuple[float, float]:
        """Column and row in dots."""
        return (
            self.width + (longitude - (WEST + EAST) / 2) * self.across,
            self.height * 2 - (latitude - (SOUTH + NORTH) / 2) * self.down,
        )

    def trail(self, points: list[tuple[float, float, float | None]]) -> None:
        for (south, west, _), (north, east, altitude) in pairwise(points):
            if abs(north - south) > LEAP or abs(east - west) > LEAP:
                continue
            (x0, y0), (x1, y1) = self.place(south, west), self.place(north, east)
            steps = max(math.ceil(max(abs(x1 - x0), abs(y1 - y0))), 1)
            for step in range(steps):
                self.dot(x0 + (x1 - x0) * step / steps, y0 + (y1 - y0) * step / steps, "dim " + colour(altitude))

    def dot(self, x: float, y: float, style: str) -> None:
        column, row = int(x // 2), int(y // 4)
        if 0 <= column < self.width and 0 <= row < self.height:
            self.dots[row][column] |= DOTS[int(y) % 4][int(x) % 2]
            self.styles[row][column] = style

    def write(self, latitude: float, longitude: float, letters: str, style: str) -> None:
        """``letters`` from that place to the right, cut at the border."""
        x, y = self.place(latitude, longitude)
        column, row = int(x // 2), int(y // 4)
        if not 0 <= row < self.height:
            return
        for offset, letter in enumerate(letters):
            if 0 <= column + offset < self.width:
                self.letters[row][column + offset] = letter
                self.styles[row][column + offset] = style

    def text(self) -> Text:
        text = Text(no_wrap=True, overflow="crop")
        for row in range(self.height):
            if row:
                text.append("\n")
            letters = [
                letter or (chr(0x2800 + dots) if dots else " ")
                for letter, dots in zip(self.letters[row], self.dots[row], strict=True)
            ]
            for style, run in groupby(range(self.width), key=self.styles[row].__getitem__):
                text.append("".join(letters[column] for column in run), style=style)
        return text
