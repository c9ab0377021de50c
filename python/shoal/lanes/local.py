"""Local: a Python object beside the twin's state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from shoal.lanes.lane import Declared

if TYPE_CHECKING:
    from shoal.schema import Schema
    from shoal.twin import Twin

L = TypeVar("L")


class Local(Declared, Generic[L]):
    """What must stay a Python object: a model, a connection. ``make()`` makes each twin's own, when it is first read.

    It is kept while the twin is in memory; it is never saved, linked to or rolled back.
    """

    _kind = "a local"

    def __init__(self, make: Callable[[], L], /, *, doc: str = "") -> None:
        super().__init__(doc=doc)
        self.make = make

    @overload
    def __get__(self, obj: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, obj: Twin, owner: type[Any]) -> L: ...
    def __get__(self, obj: Any, owner: Any = None) -> Any:
        if obj is None:
            return self
        objects = obj._local()
        try:
            return objects[self.attribute]
        except KeyError:
            made = objects[self.attribute] = self.make()
            return made

    def __set__(self, obj: Twin, value: L) -> None:
        obj._local()[self.attribute] = value

    def _resolve(self, schema: Schema) -> None:
        if not callable(self.make):
            raise self._mistake(
                f"{self.make!r} is not callable", "give what makes each twin's own: Local(dict), Local(lambda: Model())"
            )
