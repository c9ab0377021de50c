"""List: elements in an order of their own, a child table of the population."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableSequence
from typing import TYPE_CHECKING, Any, Generic, Self, overload

from shoal import _core
from shoal.declaration import MapTable
from shoal.lanes.lane import Declared
from shoal.shapes import Misfit
from shoal.types import Form, form_of
from shoal.variables import S, Save, V

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from shoal.schema import Schema
    from shoal.twin import Twin


class ListView(MutableSequence[V]):
    """One twin's elements, as a list has them: by index, negative ones and slices too.

    Each element has a key that stays while it is moved or replaced; a slice is a plain list. Assigning the whole takes
    all elements out and puts others in, with new keys. ``reverse`` moves them.
    """

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, index: int, /) -> V: ...
        @overload
        def __getitem__(self, index: slice, /) -> list[V]: ...
        def __getitem__(self, index: Any, /) -> Any: ...
        @overload
        def __setitem__(self, index: int, value: V, /) -> None: ...
        @overload
        def __setitem__(self, index: slice, value: Iterable[V], /) -> None: ...
        def __setitem__(self, index: Any, value: Any, /) -> None: ...
        def __delitem__(self, index: int | slice, /) -> None: ...
        def __len__(self) -> int: ...
        def insert(self, index: int, value: V) -> None: ...
        def move(self, from_: int, to: int) -> None:
            """Takes an element out and puts it in again, so that it stands at ``to``. IndexError: there is none."""

        def take(self, n: int) -> None:
            """Keeps the first ``n`` elements."""

        def drop(self, n: int) -> None:
            """Takes the first ``n`` elements out."""

        def key(self, index: int) -> Any:
            """An element's key: a number where the list has made it, else what a client has given."""


ListView.register(_core.ListView)


class List(Declared, Generic[V], _core.ListTable):
    """Elements in order. They are of an immutable type; ``limit`` bounds the elements of one twin."""

    _kind = "a list"
    _links_as = "list"
    name: str
    # Set by _enter and _resolve.
    number: int
    value_form: Form

    def __init__(
        self,
        type: TypeForm[V],
        /,
        *,
        limit: int = 10_000,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
        readonly: bool = False,
    ) -> None:
        super().__init__(name, unit, doc, save, readonly)
        self.value = type
        self.limit = limit

    if TYPE_CHECKING:
        # the native table reads and writes
        @overload  # type: ignore[override]
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> ListView[V]: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...
        def __set__(self, obj: Twin, value: Iterable[V]) -> None: ...

    def changed(self, fn: Callable[[S, int, V | None, V | None], None]) -> Callable[[S, int, V | None, V | None], None]:
        """Decorates a method ``(self, index, new, old)``: called for each element that became another.

        ``old`` is None for one that was not there, ``new`` for one that is gone, whose index is the one that it had.
        One that was only moved is both, at its new index; those that it passed are not told.
        """
        from shoal.handlers import mark

        return mark(fn, "changed", self)

    def _enter(self, schema: Schema) -> None:
        self.number = schema.next_map()

    def _resolve(self, schema: Schema) -> None:
        if type(self.limit) is not int or self.limit < 1:
            raise self._mistake(
                f"limit={self.limit!r}", "it is the number of elements that one twin may have, 1 or more"
            )
        try:
            self.value_form = form_of(self.value)
        except Misfit as misfit:
            raise self._misfit(misfit) from None
        if self.value_form.nullable:
            # a typed column has no cell for "there, and None"
            self.value_form = self.value_form._replace(column="value")

    def _declare(self, schema: Schema) -> None:
        value = self.value_form
        settable = not self.readonly and not self._private
        decode, encode = value.decoder(), value.encoder("an element")
        # keys are the list's own, or a client's, who may have any
        table = MapTable(self.name, "value", value.column, None, self.limit, settable, self.save, ordered=True)
        schema.add_map(self, table, (None, decode, None, encode))
        self._bind(self._label, self.number, value.column, decode, encode)
