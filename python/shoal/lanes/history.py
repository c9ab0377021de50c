"""History: the values of a lane with their times."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple

from shoal.duration import Seconds
from shoal.lanes.fold import Fold
from shoal.lanes.lane import Lane
from shoal.types import Form
from shoal.variables import Save, V

if TYPE_CHECKING:
    from shoal.schema import Schema

# Entries that a history keeps at most: each write costs a copy of them.
MOST_ENTRIES = 10_000


class Stamped(NamedTuple, Generic[V]):
    """A value and when it was written."""

    time: datetime
    value: V


class History(Fold[tuple[Stamped[V], ...]], Generic[V]):
    """The values of a lane, the oldest first: those of the time ``last``, the newest ``count`` of them, or both.

    Every write of the lane is an entry, equal ones too; an entry that is older than ``last`` leaves by time alone. More
    than 10,000 entries are never kept: then the oldest leave early. A write costs a copy of the history.
    """

    _kind = "a history"
    _fold = "history"
    _start = ()

    def __init__(
        self,
        src: Lane[V],
        /,
        *,
        last: Seconds | None = None,
        count: int | None = None,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
        readonly: Literal[True] = True,
    ) -> None:
        super().__init__(src, name=name, unit=unit, doc=doc, save=save)
        self.span = last
        self.count = count

    def _result(self, source: Form | None) -> Form:
        if source is None or not isinstance(self.src, Lane):
            raise self._mistake("it keeps the values of a lane, and this is none", self._usage())
        self._decode = source.decoder()
        return Form(tuple, "value", False, None, False, (tuple,))

    def _settings(self, schema: Schema) -> dict[str, Any]:
        if self.span is None and self.count is None:
            raise self._mistake(
                "it needs last=, count= or both", 'History(load, last="24 h"), History(load, count=100)'
            )
        settings: dict[str, Any] = {"count": MOST_ENTRIES}
        if self.span is not None:
            settings["last"] = self._span("last", self.span)
            if settings["last"] == 0:
                raise self._mistake("last= must be above 0")
        if self.count is not None:
            if type(self.count) is not int or not 0 < self.count <= MOST_ENTRIES:
                raise self._mistake(f"count={self.count!r}", f"it is a whole number from 1 to {MOST_ENTRIES:,}")
            settings["count"] = self.count
        return settings

    def _decoder(self) -> Callable[[Any], Any]:
        decode = self._decode

        def stamped(entries: Any) -> tuple[Stamped[Any], ...]:
            if decode is None:
                return tuple([Stamped(time, value) for time, value in entries])
            return tuple([Stamped(time, decode(value)) for time, value in entries])

        return stamped

    def _usage(self) -> str:
        return 'History(load, last="24 h") keeps a lane of this class'
