"""Links of a twin to a command or supply lane of another twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, overload

from shoal.lanes.command import Command
from shoal.lanes.lane import Declared
from shoal.lanes.linked import Opened, Single
from shoal.lanes.supply import Supply
from shoal.variables import B

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from shoal.schema import Schema
    from shoal.twin import Twin


class EventView(Opened):
    """An event link in a twin's hands."""

    __slots__ = ()

    def send(self, body: Any, /) -> None:
        """Commands the linked lane."""
        self._send(body)


class EventLink(Single, Command[B]):
    """A twin's link to a command or supply lane of one other twin: each item comes as a command to the twin itself, in
    order, once. ``EventLink(Bus.report)``, or by type: ``EventLink(Fix, lane="report")``.
    """

    _kind = "an event link"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            src: Command[B] | Supply[B],
            /,
            *,
            lane: str = "",
            prio: float = 0,
            rate: float = 0,
            name: str = "",
            unit: str = "",
            doc: str = "",
        ) -> None: ...
        @overload
        def __init__(
            self,
            src: TypeForm[B],
            /,
            *,
            lane: str,
            prio: float = 0,
            rate: float = 0,
            name: str = "",
            unit: str = "",
            doc: str = "",
        ) -> None: ...

    def __init__(
        self,
        src: Any,
        /,
        *,
        lane: str = "",
        prio: float = 0,
        rate: float = 0,
        name: str = "",
        unit: str = "",
        doc: str = "",
    ) -> None:
        if isinstance(src, Command):
            Command.__init__(self, name=name, unit=unit, doc=doc)  # type: ignore[arg-type]
            self._shape, self._misfit_of_body = src._shape, src._misfit_of_body
        else:
            body = src.type if isinstance(src, Declared) and hasattr(src, "type") else src
            Command.__init__(self, body, name=name, unit=unit, doc=doc)
        self._lead(src, lane, False, (prio, rate))

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> EventView: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...
    else:

        def __get__(self, obj: Any, owner: Any = None) -> Any:
            return self if obj is None else EventView(obj, self)

    def _enter(self, schema: Schema) -> None:
        Command._enter(self, schema)
        self._enter_target(schema)

    def _resolve(self, schema: Schema) -> None:
        self._find_lane(schema)
        Command._resolve(self, schema)

    def _declare(self, schema: Schema) -> None:
        # nobody else may send it: its name on the wire is private
        name, self.name = self.name, f"_{self.name}.event"
        Command._declare(self, schema)
        self.name = name
        self._declare_target(schema)
        schema.add_link(self, self._table("event", {"command": self.number}, {"column": self.target_column}), None)
