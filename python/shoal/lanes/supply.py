"""Supply: items that a twin pushes to those who have linked it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, overload

from shoal import _core
from shoal.declaration import SupplyLane
from shoal.errors import WrongType
from shoal.lanes.lane import Linkable
from shoal.shapes import Misfit
from shoal.types import Form, form_of
from shoal.variables import B_in, V

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from shoal.schema import Schema
    from shoal.twin import Twin


class Pusher(Protocol[B_in]):
    """A twin's supply lane, ready to push."""

    def push(self, item: B_in, /) -> None:
        """Sent when the turn is kept. Errors: WrongType for what is no item of the lane, whoever listens."""


class Supply(Linkable, Generic[V], _core.Teller):
    """Items that a twin pushes: each goes to everybody who has linked the lane by then, in order, none left out.

    Nothing is kept. Whoever cannot keep up is unlinked (``link_queue``).
    """

    _kind = "a supply"
    _links_as = "event"
    _place = "supply"
    name: str
    # Set by _enter and _resolve.
    number: int
    form: Form

    def __init__(self, type: TypeForm[V], /, *, name: str = "", unit: str = "", doc: str = "") -> None:
        super().__init__(name, unit, doc)
        self.type: Any = type

    if TYPE_CHECKING:
        # natively: `_core.Pushing`
        @overload  # type: ignore[override]
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> Pusher[V]: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...

    if not TYPE_CHECKING:

        def __set__(self, obj: Any, value: Any) -> None:
            raise WrongType(f"{self._label} is a supply, which holds no value: self.{self.attribute}.push(item)")

    def _enter(self, schema: Schema) -> None:
        self.number = schema.next_supply()

    def _resolve(self, schema: Schema) -> None:
        try:
            self.form = form_of(self.type)
        except Misfit as misfit:
            raise self._misfit(misfit) from None

    def _declare(self, schema: Schema) -> None:
        schema.supplies.append(SupplyLane(self.name, self.form.column, self.form.nullable))
        self._bind(self._label, "supply", self.number, self.form.column, self.form.encoder(self._label))

    def _read(self, items: list[Any]) -> list[Any]:
        """Items as they were pushed."""
        decode = self.form.decoder()
        return items if decode is None else [item if item is None else decode(item) for item in items]
