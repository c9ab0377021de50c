"""Value: what handlers write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, overload

from shoal import _core
from shoal.declaration import Column
from shoal.lanes.lane import MISSING, Lane
from shoal.shapes import Misfit
from shoal.types import form_of
from shoal.variables import Save, V

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from shoal.schema import Schema
    from shoal.twin import Twin


class Value(Lane[V], _core.Cell):
    """A value that handlers write. Its type must be immutable."""

    _kind = "a value"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            type: TypeForm[V],
            /,
            *,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
            readonly: bool = False,
        ) -> None: ...
        @overload
        def __init__(
            self,
            type: TypeForm[V],
            default: V,
            /,
            *,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
            readonly: bool = False,
        ) -> None: ...

    def __init__(
        self,
        type: Any,
        default: Any = MISSING,
        /,
        *,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
        readonly: bool = False,
    ) -> None:
        super().__init__(name, unit, doc, save, readonly)
        self.type = type
        self.default = default

    if TYPE_CHECKING:
        # the native cell reads and writes
        @overload  # type: ignore[override]
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> V: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...
        def __set__(self, obj: Twin, value: V) -> None: ...

    def _resolve(self, schema: Schema) -> None:
        try:
            self.form = form_of(self.type)
            self.initial = None if self.default is MISSING else self.form.initial(self.default)
        except Misfit as misfit:
            raise self._misfit(misfit) from None

    def _declare(self, schema: Schema) -> None:
        settable = not self.readonly and not self._private
        form = self.form
        schema.add_column(self, Column(self.name, form.column, self.initial, form.nullable, settable, self.save))
        self._bind(
            self._label,
            self.column,
            self.form.column,
            self.form.nullable,
            "",
            self.form.decoder(),
            self.form.encoder(self._label),
        )
