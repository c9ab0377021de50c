"""Map: entries by key, a child table of the population."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Generic, Self, overload

from shoal import _core
from shoal.declaration import MapTable
from shoal.lanes.lane import MISSING, Linkable
from shoal.shapes import Misfit
from shoal.types import Form, form_of
from shoal.variables import K, S, Save, V

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from shoal.schema import Schema
    from shoal.twin import Twin


class MapView(MutableMapping[K, V]):
    """One twin's entries, in the order of insertion. A missing key reads as the map's default, if it has one."""

    if TYPE_CHECKING:

        def __getitem__(self, k: K, /) -> V: ...
        def __setitem__(self, k: K, v: V, /) -> None: ...
        def __delitem__(self, k: K, /) -> None: ...
        def __iter__(self) -> Iterator[K]: ...
        def __len__(self) -> int: ...


MapView.register(_core.TableView)


class Map(Linkable, Generic[K, V], _core.Table):
    """Entries by key. Keys and values are of immutable types; ``limit`` bounds the entries of one twin."""

    _kind = "a map"
    _links_as = "map"
    _place = "map"
    name: str
    # Set by _enter and _resolve.
    number: int
    key_form: Form
    value_form: Form

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            key: TypeForm[K],
            value: TypeForm[V],
            /,
            *,
            limit: int = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
            readonly: bool = False,
        ) -> None: ...
        @overload
        def __init__(
            self,
            key: TypeForm[K],
            value: TypeForm[V],
            default: V,
            /,
            *,
            limit: int = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
            readonly: bool = False,
        ) -> None: ...

    def __init__(
        self,
        key: Any,
        value: Any,
        default: Any = MISSING,
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
        self.key = key
        self.value = value
        self.default = default
        self.limit = limit

    if TYPE_CHECKING:
        # the native table reads and writes
        @overload  # type: ignore[override]
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> MapView[K, V]: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...
        def __set__(self, obj: Twin, value: Mapping[K, V]) -> None: ...

    def changed(self, fn: Callable[[S, K, V | None, V | None], None]) -> Callable[[S, K, V | None, V | None], None]:
        """Decorates a method ``(self, key, new, old)``: called for each entry that became another. None: no entry."""
        from shoal.handlers import mark

        return mark(fn, "changed", self)

    def _enter(self, schema: Schema) -> None:
        self.number = schema.next_map()

    def _resolve(self, schema: Schema) -> None:
        if type(self.limit) is not int or self.limit < 1:
            raise self._mistake(
                f"limit={self.limit!r}", "it is the number of entries that one twin may have, 1 or more"
            )
        try:
            self.key_form = form_of(self.key)
            self.value_form = form_of(self.value)
            self.initial = None if self.default is MISSING else self.value_form.initial(self.default)
        except Misfit as misfit:
            raise self._misfit(misfit) from None
        if self.key_form.type is Any:
            raise self._mistake("Any is no key's type", "name the type of its keys: `str | int`")
        if self.key_form.nullable:
            raise self._mistake("None is no key", "take it out of the key's type")
        if self.value_form.nullable:
            # a typed column has no cell for "there, and None"
            self.value_form = self.value_form._replace(column="value")

    def _declare(self, schema: Schema) -> None:
        key, value = self.key_form, self.value_form
        settable = not self.readonly and not self._private
        functions = (
            key.decoder(),
            value.decoder(),
            key.encoder("a key"),
            value.encoder("an entry"),
        )
        table = MapTable(self.name, key.column, value.column, self.initial, self.limit, settable, self.save)
        schema.add_map(self, table, functions)
        default = MISSING if self.default is MISSING else self.default
        self._bind(
            self._label,
            self.number,
            key.column,
            value.column,
            functions[0],
            functions[2],
            functions[1],
            functions[3],
            None if default is MISSING else default,
            default is not MISSING,
        )
