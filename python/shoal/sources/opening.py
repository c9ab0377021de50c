"""From what an app's ``ingest`` lines say to readers at work."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from shoal._core import Shard
from shoal.declaration import Declaration, Population
from shoal.errors import DeclarationError, RunFailed
from shoal.lanes.command import Command
from shoal.place import mistake, near
from shoal.sources import FileDecl, Ingest, SourceDecl

# Records that an iterable gives in one go, and the most that wait in the shard before it is asked for more.
CHUNK = 1_000
AHEAD = 4_000


@dataclass
class Source:
    """One ``ingest`` line, ready to be opened."""

    declaration: SourceDecl
    where: Callable[[Any], bool] | None
    to: Callable[[Any], str] | None
    records: Iterable[Any] | None
    # the shard's number for it
    number: int = -1

    def open(self, shard: Shard) -> None:
        """Starts the reader; ``RunFailed`` where there is nothing to read."""
        try:
            self.number = shard.ingest(msgspec.json.encode(self.declaration), self.where, self.to)
        except OSError as error:
            raise RunFailed(f"{self.declaration.name}: {error.strerror or error}") from error


class Feeder:
    """Hands the records of one iterable over to the shard, a chunk a time, in the shard's own thread.

    The iterable must not block for long: while it does, no turn runs.
    """

    def __init__(self, source: Source, shard: Shard) -> None:
        assert source.records is not None
        self.number = source.number
        self._shard = shard
        self._records: Iterator[Any] = iter(source.records)
        self.exhausted = False

    def step(self) -> None:
        if self.exhausted or self._shard.counts(self.number).waiting > AHEAD:
            return
        chunk = []
        for record in self._records:
            chunk.append(record)
            if len(chunk) == CHUNK:
                break
        else:
            self.exhausted = True
        if chunk:
            self._shard.records(self.number, chunk)


def declare(
    ingests: Sequence[Ingest],
    declaration: Declaration,
    classes: Sequence[type],
    speed: float | Literal["max"] | None = None,
) -> list[Source]:
    """A source for each ``ingest`` line, in their order. ``speed`` replaces that of every file that tells the time.

    ``DeclarationError`` where a line names a lane or a parameter that there is not.
    """
    sources: list[Source] = []
    names: set[str] = set()
    for ingest in ingests:
        source = _declare(ingest, declaration, classes, names)
        paced = source.declaration.speed is not None
        if paced and not tells_time(source, declaration):
            what = f"speed={ingest.speed!r} needs files with a time"
            raise _mistake(ingest, what, 'say which field it is: time="FIELD" here, or in the Command')
        if speed is not None and tells_time(source, declaration):
            source.declaration = msgspec.structs.replace(source.declaration, speed=_factor(speed))
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


def _declare(ingest: Ingest, declaration: Declaration, classes: Sequence[type], names: set[str]) -> Source:
    file, records = None, None
    if isinstance(ingest.source, (str, os.PathLike)):
        path = os.fspath(ingest.source)
        file = FileDecl(path)
        name = "stdin" if path == "-" else path
    elif isinstance(ingest.source, Iterable):
        records = ingest.source
        name = "records"
    else:
        what = f"the source is a {type(ingest.source).__name__}"
        raise _mistake(ingest, what, "it is a path, or an iterable of records")
    target = to = None
    key: dict[str, str] = {}
    if isinstance(ingest.to, Command):
        target = _target(ingest, declaration, classes)
        key = _key(ingest, declaration.populations[target[0]])
    elif callable(ingest.to):
        to = ingest.to
        if not ingest.lane:
            raise _mistake(ingest, "to= gives the node and nothing the lane", 'name it: lane="report"')
    else:
        raise _mistake(
            ingest, f"to={ingest.to!r}", "give a command of a twin class, or a function that gives a node URI"
        )
    return Source(
        SourceDecl(
            name=_unique(name, names),
            file=file,
            target=target,
            lane=ingest.lane,
            key=key,
            time=ingest.time,
            filter=ingest.where is not None,
            speed=_factor(ingest.speed),
        ),
        ingest.where,
        to,
        records,
    )


def _target(ingest: Ingest, declaration: Declaration, classes: Sequence[type]) -> tuple[int, int]:
    command: Command[Any] = ingest.to
    if command.owner not in classes:
        owner = command.owner.__name__ if command.owner is not None else "?"
        raise _mistake(ingest, f"{owner} has no address in this app", f'put @app.twin("/…/{{id}}") over class {owner}')
    population = classes.index(command.owner)
    names = [lane.name for lane in declaration.populations[population].commands]
    return population, names.index(command.name)


def _key(ingest: Ingest, population: Population) -> dict[str, str]:
    parameters = [segment["parameter"] for segment in population.pattern if "parameter" in segment]
    key = ingest.key
    if not key:
        return {}
    if isinstance(key, str):
        if len(parameters) == 1:
            return {parameters[0]: key}
        raise _mistake(
            ingest,
            f"key={key!r}, and {population.name} has {len(parameters)} parameters",
            "name the field of each: key={" + ", ".join(f'"{name}": "FIELD"' for name in parameters) + "}",
        )
    unknown = [name for name in key if name not in parameters]
    if unknown:
        what = f"key= names `{unknown[0]}`, which is no parameter of {population.name}"
        raise _mistake(ingest, what, near(unknown[0], parameters))
    return dict(key)


def _factor(speed: float | Literal["max"]) -> float | None:
    return None if speed == "max" else float(speed)


def _unique(name: str, names: set[str]) -> str:
    numbered, number = name, 1
    while numbered in names:
        number += 1
        numbered = f"{name}#{number}"
    names.add(numbered)
    return numbered


def _mistake(ingest: Ingest, what: str, hint: str) -> DeclarationError:
    shown = ingest.source if isinstance(ingest.source, (str, os.PathLike)) else "…"
    return mistake(ingest.place, f"ingest({str(shown)!r})", what, hint)
