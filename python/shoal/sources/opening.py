"""From what an app's ``ingest`` lines say to readers at work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from shoal._core import Preview, Shard
from shoal.declaration import Declaration, Population
from shoal.errors import RunFailed
from shoal.lanes.command import Command
from shoal.place import mistake
from shoal.sources import FileDecl, Ingest, SourceDecl

if TYPE_CHECKING:
    from shoal.app import App

# Records that an iterable gives in one go, and the most that wait in the shard before it is asked for more.
CHUNK = 1_000
AHEAD = 4_000

# What of a source has been applied: all up to a position, but the positions of a rising list
Mark = tuple[int, list[int]]


@dataclass
class Source:
    """One ``ingest`` line, ready to be opened."""

    declaration: SourceDecl
    where: Callable[[Any], bool] | None
    to: Callable[[Any], str] | None
    # None for a file
    records: Iterable[Any] | None
    # the shard's number for it, once it is open
    number: int = -1
    # it has been looked at already
    preview: Preview | None = None

    @property
    def name(self) -> str:
        return self.declaration.name

    def open(self, shard: Shard) -> None:
        """Starts the reader; ``RunFailed`` where there is nothing to read."""
        declared = msgspec.json.encode(self.declaration)
        looked = () if self.preview is None else (self.preview,)
        self.number = shard.ingest(declared, self.where, self.to, *looked)


class Feeder:
    """Hands the records of one iterable over to the shard, a chunk a time, in the shard's own thread.

    The iterable must not block for long: while it does, no turn runs. ``mark`` says what of it has been applied by an
    earlier run, if it is one that can be read again. Raises ``RunFailed`` where it is shorter than that.
    """

    def __init__(self, source: Source, shard: Shard, mark: Mark | None = None) -> None:
        assert source.records is not None
        self.number = source.number
        self._shard = shard
        self.exhausted = False
        # records of an earlier run that have not been applied, with their positions
        self._again: Iterator[tuple[int, Any]] = iter(())
        # of the next record
        self._position = 1
        self._records: Iterator[Any] = iter(source.records)
        if mark is not None and source.declaration.replayable:
            assert isinstance(source.records, (list, tuple))
            self._go_on(source.name, source.records, *mark)

    def step(self) -> None:
        if self.exhausted or self._shard.counts(self.number).waiting > AHEAD:
            return
        again = list(islice(self._again, CHUNK))
        for position, record in again:
            self._shard.records(self.number, [record], position)
        if again:
            return
        chunk = []
        for record in self._records:
            chunk.append(record)
            if len(chunk) == CHUNK:
                break
        else:
            self.exhausted = True
        if chunk:
            self._shard.records(self.number, chunk, self._position)
            self._position += len(chunk)

    def _go_on(self, name: str, records: Sequence[Any], through: int, waiting: list[int]) -> None:
        if len(records) < through:
            raise RunFailed(
                f"{name} ends at record {len(records)}, and those up to {through} have been applied: it is another "
                "list. Start with another store, or without one"
            )
        self._again = ((position, records[position - 1]) for position in waiting)
        self._records = islice(records, through, None)
        self._position = through + 1


def declare(app: App[Any], declaration: Declaration, speed: float | Literal["max"] | None = None) -> list[Source]:
    """A source for each ``ingest`` line, in their order. ``speed`` replaces that of every file that tells the time.

    ``DeclarationError`` where a line cannot be carried out.
    """
    sources: list[Source] = []
    names: set[str] = set()
    for ingest in app.ingests:
        source = _declare(app, ingest, declaration, names)
        if ingest.speed != "max" and not tells_time(source, declaration):
            what = f"speed={ingest.speed:g} needs a file with a time"
            hint = 'say which field it is: time="FIELD" here, or in the Command'
            raise mistake(ingest.place, f"ingest({ingest.source!r})", what, hint)
        if speed is not None and tells_time(source, declaration):
            pace = None if speed == "max" else float(speed)
            source.declaration = msgspec.structs.replace(source.declaration, speed=pace)
        sources.append(source)
    return sources


def tells_time(source: Source, declaration: Declaration) -> bool:
    """Whether the source's records move the clock; only a file's do."""
    declared = source.declaration
    if declared.file is None:
        return False
    if declared.time:
        return True
    if declared.target is None:
        commands = [lane for p in declaration.populations for lane in p.commands if lane.name == declared.lane]
        return any(lane.time_slot is not None for lane in commands)
    population, command = declared.target
    return declaration.populations[population].commands[command].time_slot is not None


def _declare(app: App[Any], ingest: Ingest, declaration: Declaration, names: set[str]) -> Source:
    file, records = None, None
    if isinstance(ingest.source, (str, os.PathLike)):
        path = os.fspath(ingest.source)
        file = FileDecl(path)
        name = "stdin" if path == "-" else path
    elif isinstance(ingest.source, Iterable) and not isinstance(ingest.source, (bytes, Mapping)):
        records = ingest.source
        name = "records"
    else:
        what = f"its source is a {type(ingest.source).__name__}"
        raise mistake(ingest.place, f"ingest({ingest.source!r})", what, "give a path, or an iterable of records")
    target = to = None
    key: dict[str, str] = {}
    if isinstance(ingest.to, Command):
        assert ingest.to.owner is not None  # app.ingest has checked it
        population = app.classes.index(ingest.to.owner)
        target = (population, ingest.to.number)
        key = _key(ingest.key, declaration.populations[population])
    else:
        to = ingest.to
    return Source(
        SourceDecl(
            name=_unique(name, names),
            file=file,
            target=target,
            lane=ingest.to.name if target is not None else ingest.lane,
            key=key,
            time=ingest.time,
            filter=ingest.where is not None,
            speed=None if ingest.speed == "max" else float(ingest.speed),
            replayable=isinstance(records, (list, tuple)) if file is None else file.path != "-",
        ),
        ingest.where,
        to,
        records,
    )


def _key(key: str | Mapping[str, str], population: Population) -> dict[str, str]:
    if not isinstance(key, str):
        return dict(key)
    return {segment["parameter"]: key for segment in population.pattern if "parameter" in segment} if key else {}


def _unique(name: str, names: set[str]) -> str:
    numbered, number = name, 1
    while numbered in names:
        number += 1
        numbered = f"{name}#{number}"
    names.add(numbered)
    return numbered
