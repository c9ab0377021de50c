"""What all lanes have in common: a name, where they were declared, a copy in each class that inherits them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeAlias, overload

from shoal.errors import DeclarationError, WrongType
from shoal.place import here, mistake
from shoal.shapes import Misfit
from shoal.types import Form
from shoal.variables import S, Save, V_co

if TYPE_CHECKING:
    from shoal.lanes.links import LinkInfo
    from shoal.schema import Schema
    from shoal.twin import Twin

# Stands for "not given" where None is a value.
MISSING: Any = type("Missing", (), {"__repr__": lambda self: "...", "__slots__": ()})()


class Declared:
    """Something declared in a twin class under a name. Each class that inherits it has a copy, with its own numbers."""

    # What users call this kind in messages: "a fold"
    _kind = "a lane"
    # What a link to it holds, by `form`, or by `key_form` and `value_form`; "" where it cannot be linked
    _links_as: Literal["", "value", "map", "list", "event"] = ""

    def __new__(cls, *arguments: Any, **options: Any) -> Self:
        # lanes of one column or table are native objects, which take no arguments
        return super().__new__(cls)

    def __init__(
        self, name: str = "", unit: str = "", doc: str = "", save: Save = "async", readonly: bool = False
    ) -> None:
        self.name = name  # on the wire; the attribute's name unless given
        self.unit = unit
        self.doc = doc
        self.save = save
        self.readonly = readonly
        self.attribute = ""  # in the class; "" until there is one
        self.owner: type | None = None
        self.place = here()

    def _copy(self) -> Self:
        copy = type(self).__new__(type(self))
        copy.__dict__.update(self.__dict__)
        return copy

    def _adopt(self, owner: type, attribute: str) -> None:
        self.owner = owner
        self.attribute = attribute
        self.name = self.name or attribute

    @property
    def _label(self) -> str:
        return f"{self.owner.__name__}.{self.attribute}" if self.owner is not None else self.attribute

    @property
    def _private(self) -> bool:
        """A leading underscore: saved, never linkable."""
        return self.attribute.startswith("_")

    def _mistake(self, what: str, hint: str = "") -> DeclarationError:
        return mistake(self.place, self._label, what, hint)

    def _misfit(self, misfit: Misfit) -> DeclarationError:
        return self._mistake(misfit.what, misfit.hint)

    def _check_options(self) -> None:
        if self.save not in ("async", "sync", "never"):
            raise self._mistake(f"save={self.save!r}", 'it is "async", "sync" or "never"')
        for option, value in (("name", self.name), ("unit", self.unit), ("doc", self.doc)):
            if not isinstance(value, str):
                raise self._mistake(f"{option}={value!r}", f"{option} is a text")

    def _enter(self, schema: Schema) -> None:
        """Takes the numbers of its columns, tables and commands."""

    def _resolve(self, schema: Schema) -> None:
        """Finds its types and sources. Errors: DeclarationError."""

    def _declare(self, schema: Schema) -> None:
        """Puts itself into the declaration and binds itself to the core."""


class Linkable(Declared):
    """A lane that others may link."""

    # its kind in the declaration
    _place = ""

    def linked(self, fn: Callable[[S, LinkInfo], None]) -> Callable[[S, LinkInfo], None]:
        """Decorates a method ``(self, link)``: a turn of its own, after somebody has linked this lane.

        Nobody's state: what a run before had linked is not told again.
        """
        from shoal.handlers import mark

        return mark(fn, "linked", self)

    def unlinked(self, fn: Callable[[S, LinkInfo], None]) -> Callable[[S, LinkInfo], None]:
        """The same after somebody has unlinked it, or his connection was lost. Not where the twin ends."""
        from shoal.handlers import mark

        return mark(fn, "unlinked", self)

    def links(self, twin: Twin, /) -> int:
        """How many have linked this lane of a twin, in the twin's own turn: ``Bus.speed.links(self)``."""
        schema = getattr(type(twin), "__shoal__", None)
        lane = None if schema is None else schema.lanes.get(self.attribute)
        if not isinstance(lane, Linkable) or self.owner is None or not isinstance(twin, self.owner):
            raise WrongType(f"{self._label}.links takes a {getattr(self.owner, '__name__', 'twin')}, got {twin!r}")
        return twin._links(lane._place, lane._index)

    @property
    def _index(self) -> int:
        """Among those of its kind in its class."""
        number: int = self.number  # type: ignore[attr-defined]
        return number


class Lane(Linkable, Generic[V_co]):
    """A lane that holds a value: others may fold it, watch it and link to it."""

    _links_as = "value"
    _place = "column"
    name: str
    # Set by _enter and _resolve.
    column: int
    form: Form

    if TYPE_CHECKING:

        @overload
        def changed(self, fn: Callable[[S, V_co], None]) -> Callable[[S, V_co], None]: ...
        @overload
        def changed(self, fn: Callable[[S, V_co, V_co | None], None]) -> Callable[[S, V_co, V_co | None], None]: ...

    def changed(self, fn: Any) -> Any:
        """Decorates a method ``(self, new)`` or ``(self, new, old)``: called in the turn that changed the value."""
        from shoal.handlers import mark

        return mark(fn, "changed", self)

    @property
    def _index(self) -> int:
        return self.column

    def _enter(self, schema: Schema) -> None:
        self.column = schema.next_column()

    def _decoder(self) -> Callable[[Any], Any] | None:
        """From the column's form to what users read; None where they are the same."""
        return self.form.decoder()


# A number lane, or a number field of a command's body.
Num: TypeAlias = Lane[float] | float | None
