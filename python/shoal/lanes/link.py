"""Links of a twin to a value lane of another twin, of this app or another server: the copy is read at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Never, Self, overload

from shoal import _core
from shoal.declaration import Column
from shoal.errors import WrongType
from shoal.lanes.command import Command
from shoal.lanes.lane import Lane
from shoal.lanes.linked import Opened, Single
from shoal.lanes.list import List
from shoal.lanes.map import Map
from shoal.shapes import Misfit
from shoal.types import form_of
from shoal.variables import Save, V

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from shoal.schema import Schema
    from shoal.twin import Twin


class LinkView(Opened, Generic[V]):
    """A value link in a twin's hands."""

    __slots__ = ()

    @property
    def value(self) -> V:
        """The newest that has come. Raises Unset while nothing has."""
        value: V = self._lane._cell.__get__(self._twin, type(self._twin))
        return value

    def set(self, value: V, /) -> None:
        """Writes the linked lane, as a command to its twin: the copy changes when that twin says so."""
        lane = self._lane
        encode = lane.form.encoder(lane._label)
        self._send(value if encode is None else encode(value))


class Link(Single, Lane[V]):
    """A twin's link to a value lane of one other twin. It is a lane: folds step on what comes, others may link to it.

    ``Link(Bus.speed)``, or by type where the class is elsewhere: ``Link(float, lane="speed")``. ``sync=False``: only
    what comes from then on, not the present value. ``prio`` and ``rate`` (events a second at most) are for other
    servers.
    """

    _kind = "a link"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            src: Lane[V],
            /,
            *,
            lane: str = "",
            sync: bool = True,
            prio: float = 0,
            rate: float = 0,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
        ) -> None: ...
        @overload
        def __init__(
            self,
            src: TypeForm[V],
            /,
            *,
            lane: str,
            sync: bool = True,
            prio: float = 0,
            rate: float = 0,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
        ) -> None: ...

    def __init__(
        self,
        src: Any,
        /,
        *,
        lane: str = "",
        sync: bool = True,
        prio: float = 0,
        rate: float = 0,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
    ) -> None:
        super().__init__(name, unit, doc, save, True)
        self.type = src
        self._lead(src, lane, sync, (prio, rate))

    if TYPE_CHECKING:

        @overload
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> LinkView[V]: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...
        def __set__(self, obj: Twin, value: Never) -> None: ...
    else:

        def __get__(self, obj: Any, owner: Any = None) -> Any:
            return self if obj is None else LinkView(obj, self)

        def __set__(self, obj: Any, value: Any) -> None:
            raise WrongType(f"{self._label} is a link: self.{self.attribute}.set(...) writes the lane that it leads to")

    def _enter(self, schema: Schema) -> None:
        super()._enter(schema)
        self._enter_target(schema)

    def _resolve(self, schema: Schema) -> None:
        self._find_lane(schema)
        if self.source is None:
            try:
                self.form = form_of(self.type)
            except Misfit as misfit:
                raise self._misfit(misfit) from None
            return
        if not isinstance(self.source, Lane):
            kind: dict[type, str] = {Map: "MapLink", List: "ListLink", Command: "EventLink"}
            better = next((name for cls, name in kind.items() if isinstance(self.source, cls)), "")
            raise self._mistake(
                f"{self.source._label} is {self.source._kind}, and Link is for lanes with one value",
                f"use {better}" if better else "",
            )
        self.form = self.source.form

    def _decoder(self) -> Callable[[Any], Any] | None:
        return self.source._decoder() if isinstance(self.source, Lane) else self.form.decoder()

    def _declare(self, schema: Schema) -> None:
        form = self.form
        schema.add_column(self, Column(self.name, form.column, None, form.nullable, False, self.save), self._decoder())
        self._declare_target(schema)
        self._cell = _core.Cell()
        self._cell._bind(
            self._label, self.column, form.column, form.nullable, "is a link's copy", self._decoder(), None
        )
        table = self._table("value", {"column": self.column}, {"column": self.target_column})
        schema.add_link(self, table, self._typed())
