"""The live view of chosen twins: ``--watch /city``, ``--watch "/bus/*"``."""

from __future__ import annotations

import time
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from shoal.declaration import Population
from shoal.errors import DeclarationError, NoSuchTwin

if TYPE_CHECKING:
    from shoal.run import Run

# Lanes and cells beyond these would not fit a terminal.
MOST_LANES = 10
MOST_TEXT = 40

_UNSET = object()


class Watch:
    """What a terminal shows of a few twins; each frame marks what has changed since the one before."""

    def __init__(self, run: Run, uris: list[str]) -> None:
        """``DeclarationError`` where an URI belongs to no twin class."""
        self._views = [_view(run, uri) for uri in uris]

    def frame(self, rows: int) -> RenderableType:
        """At most about ``rows`` lines in all, and at least eight a view."""
        each = max(8, rows // len(self._views))
        return Group(*(view.table(each) for view in self._views))


class One:
    """A twin: a line a lane, with what numbers change by a second."""

    def __init__(self, run: Run, uri: str, number: int, parameters: tuple[str, ...]) -> None:
        self._uri = uri
        self._parameters = parameters
        self._lanes = Lanes(run, number)
        self._before: dict[str, Any] = {}
        self._at = time.monotonic()

    def table(self, rows: int) -> RenderableType:
        now = time.monotonic()
        seconds = now - self._at
        try:
            values = self._lanes.of(self._parameters)
        except NoSuchTwin:
            return Text(f"{self._uri}  not there yet", style="dim")
        table = Table("lane", "value", "per second")
        for name, value in islice(values.items(), rows - 4 if rows > 5 else 1):
            before = self._before.get(name, value)
            table.add_row(name, cell(value, value != before), _per_second(before, value, seconds))
        self._before, self._at = values, now
        return Group(Text(self._uri, style="bold"), table)


class Many:
    """The twins of one class, by a pattern: a line a twin, in the order of creation, as many as fit."""

    def __init__(self, run: Run, uri: str, number: int, fixed: list[tuple[int, str]]) -> None:
        self._uri = uri
        self._shard = run.shard
        self._number = number
        # parameters that the pattern names: (place among the parameters, value)
        self._fixed = fixed
        self._lanes = Lanes(run, number)
        self._shown: list[tuple[str, ...]] = []
        self._size = -1
        self._before: dict[tuple[str, ...], dict[str, Any]] = {}

    def table(self, rows: int) -> RenderableType:
        fitting = max(1, rows - 5)
        size = self._shard.size(self._number)
        values: dict[tuple[str, ...], dict[str, Any]] = {}
        for parameters in self._twins(size, fitting):
            try:
                values[parameters] = self._lanes.of(parameters)
            except NoSuchTwin:
                self._size = -1  # deleted; the next frame lists anew
        names = self._lanes.names[:MOST_LANES]
        table = Table("twin", *names)
        for parameters, lanes in values.items():
            before = self._before.get(parameters, lanes)
            cells = [cell(lanes.get(name, _UNSET), lanes.get(name) != before.get(name)) for name in names]
            table.add_row(self._shard.uri(self._number, parameters), *cells)
        self._before = values
        return Group(Text(f"{self._uri}  {size:,} twins", style="bold"), table)

    def _twins(self, size: int, most: int) -> list[tuple[str, ...]]:
        # Listing all twins takes long where there are many, and the first ones stay the same.
        if size != self._size and (len(self._shown) < most or self._size < 0):
            matching = (p for p in self._shard.twins(self._number) if all(p[at] == value for at, value in self._fixed))
            self._shown = list(islice(matching, most))
            self._size = size
        return self._shown[:most]


class Lanes:
    """Reads the visible lanes of the twins of one population."""

    def __init__(self, run: Run, number: int) -> None:
        population: Population = run.declaration.populations[number]
        self._shard = run.shard
        self._number = number
        columns = enumerate(population.columns)
        self._columns = [(i, c.name, c.nullable) for i, c in columns if not c.name.startswith("_")]
        self._maps = [(i, m.name, m.ordered) for i, m in enumerate(population.maps) if not m.name.startswith("_")]
        self._members = [(i, m.name) for i, m in enumerate(population.members) if not m.name.startswith("_")]

    @property
    def names(self) -> list[str]:
        return [
            *(name for _, name, _ in self._columns),
            *(name for _, name, _ in self._maps),
            *(name for _, name in self._members),
        ]

    def of(self, parameters: tuple[str, ...]) -> dict[str, Any]:
        """Committed values by lane; ``NoSuchTwin``."""
        if not self._shard.exists(self._number, parameters):
            raise NoSuchTwin(self._shard.uri(self._number, parameters))
        values: dict[str, Any] = {}
        for column, name, nullable in self._columns:
            value = self._shard.read(self._number, parameters, column)
            values[name] = _UNSET if value is None and not nullable else value
        for number, name, ordered in self._maps:
            entries = self._shard.read_map(self._number, parameters, number)
            latest = ", ".join(_text(value) if ordered else f"{key}: {_text(value)}" for key, value in entries[-3:])
            values[name] = f"{len(entries):,} {'elements' if ordered else 'entries'}" + (
                f", … {latest}" if latest else ""
            )
        for number, name in self._members:
            values[name] = len(self._shard.read_members(self._number, parameters, number))
        return values


def cell(value: Any, changed: bool) -> Text:
    """A value as a terminal shows it; bold where it has just changed."""
    if value is _UNSET:
        return Text("unset", style="dim")
    style = "bold green" if value is True else "bold yellow" if changed else ""
    return Text(_text(value), style=style, justify="right" if isinstance(value, (int, float)) else "left")


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "–" if value is None else "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(part, float) for part in value):
        return f"{value[0]:.5f}, {value[1]:.5f}"
    text = str(value)
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"


def _per_second(before: Any, value: Any, seconds: float) -> str:
    if isinstance(value, bool) or not (isinstance(value, (int, float)) and isinstance(before, (int, float))):
        return ""
    return f"{(value - before) / seconds:+,.4g}" if value != before and seconds > 0 else ""


def _view(run: Run, uri: str) -> One | Many:
    segments = uri.strip("/").split("/")
    if not any(_is_free(segment) for segment in segments):
        found = run.shard.route(uri)
        if found is not None:
            return One(run, uri, *found)
    for number, population in enumerate(run.declaration.populations):
        if len(segments) != len(population.pattern):
            continue
        fixed: list[tuple[int, str]] = []
        place = 0
        for segment, wanted in zip(segments, population.pattern, strict=True):
            if "literal" in wanted:
                if segment != wanted["literal"]:
                    break
                continue
            if not _is_free(segment):
                fixed.append((place, unquote(segment)))
            place += 1
        else:
            return Many(run, uri, number, fixed)
    patterns = ", ".join(pattern_of(population) for population in run.declaration.populations)
    raise DeclarationError(f"--watch {uri}: no twin class has such an address; there are {patterns}")


def pattern_of(population: Population) -> str:
    """``/bus/{id}``."""
    return "".join(f"/{s['literal']}" if "literal" in s else f"/{{{s['parameter']}}}" for s in population.pattern)


def _is_free(segment: str) -> bool:
    return segment == "*" or (segment.startswith("{") and segment.endswith("}"))
