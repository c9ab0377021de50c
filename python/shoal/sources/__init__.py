"""Where records come from. What ``app.ingest`` declares becomes a ``SourceDecl``, which ``Shard.ingest`` takes as JSON.

A file source is read by a thread of the core. ``FileDecl`` has the names and meanings of ``FileSpec`` in
``rust/core/src/source.rs``. The records of an iterable come from Python, by ``Shard.records``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from shoal.place import Place

if TYPE_CHECKING:
    from shoal._core import DeadLetter, Preview
    from shoal.run import Run


class Ingest(NamedTuple):
    """What one ``app.ingest`` line says, checked and kept as it was written until a run starts."""

    # a path, "-" for standard input, or an iterable of records
    source: Any
    # a command lane of a twin class, or a function from a record to a node URI
    to: Any
    # with a function: the command's name
    lane: str = ""
    # the field that holds the URI's only parameter, or parameter → field
    key: str | Mapping[str, str] = ""
    where: Callable[[Any], bool] | None = None
    time: str = ""
    speed: float | Literal["max"] = "max"
    place: Place = Place()


@dataclass(frozen=True)
class Inferred:
    """What a run of an inferred app knows of its source, the only one."""

    # the look at its first records, which the run goes on from; None: it is opened anew
    preview: Preview | None
    # fields that are no news
    known: tuple[str, ...]
    # called between commits for a record with a field that nobody has declared: the run, its position, its text.
    # Returns the fields that need not be told of again.
    on_news: Callable[[Run, int, bytes], Sequence[str]]
    # the letter as a person is to read it
    on_letter: Callable[[DeadLetter], DeadLetter]


class FileDecl(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file, or standard input. Anything left out has the core's default."""

    # as the user wrote it, relative to the working directory; "-" is standard input
    path: str
    # None: by the file's suffix (".jsonl", ".csv.gz", ".parquet" …)
    format: str | None = None


class SourceDecl(msgspec.Struct, frozen=True):
    """Where the records of one ``app.ingest`` come from and how each finds its twin, lane and time.

    ``SourceDecl`` of ``rust/core/src/feed.rs`` has the same names.
    """

    # "fixes.jsonl": names the source in dead letters and in the closing line; unique in an app
    name: str
    # None: fed by ``Shard.records``
    file: FileDecl | None
    # the population and its command; None when a callable ``to`` gives each record's node URI
    target: tuple[int, int] | None
    # the command's name
    lane: str
    # URI parameter → field; a parameter that is not named here is a field itself
    key: dict[str, str]
    # the record's field that moves the clock; "": the command's own, or none
    time: str
    # there is a ``where``
    filter: bool
    # seconds of the record's time for one real second; None: as fast as it goes
    speed: float | None
    # fields to be passed over; with them, a record with any other field waits for the host. None: it does not matter
    known: list[str] | None = None
    # a run that starts anew finds the same records at the same positions: a path (of a pipe the core finds out), a list
    # or a tuple. Standard input and other iterables are gone when they have been read
    replayable: bool = False
