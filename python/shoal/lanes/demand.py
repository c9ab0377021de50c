"""Demand and DemandMap: values that are computed for those who have linked them, and only as fast as they read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, overload

from shoal import _core
from shoal.declaration import DemandLane
from shoal.errors import WrongType
from shoal.handlers import is_async, takes
from shoal.lanes.lane import Linkable
from shoal.lanes.links import LinkInfo
from shoal.shapes import Misfit
from shoal.types import Form, form_of
from shoal.variables import K, K_in, S, V

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from shoal.schema import Schema
    from shoal.twin import Twin


class Cue(Protocol):
    """A twin's demand lane."""

    def cue(self) -> None:
        """The value may have changed: when the turn is kept it is computed for those who have linked the lane."""


class CueKey(Protocol[K_in]):
    """A twin's demand-map lane."""

    def cue(self, key: K_in, /) -> None:
        """A key's value may have changed. Errors: WrongType for what is no key of the lane, whoever
        listens.
        """

    def remove(self, key: K_in, /) -> None:
        """A key is gone: those who have linked the lane are told when the turn is kept."""


class Demand(Linkable, Generic[V], _core.Teller):
    """A value that its handler computes: once for a link that asks for it, then when ``cue()`` says that it may have
    changed, as fast as they read. Nobody linked: nothing happens.
    """

    _kind = "a demand"
    _links_as = "value"
    _place = "demand"
    name: str
    # Set by _enter and _resolve.
    number: int
    form: Form

    def __init__(self, type: TypeForm[V], /, *, name: str = "", unit: str = "", doc: str = "") -> None:
        super().__init__(name, unit, doc)
        self.type: Any = type

    if TYPE_CHECKING:
        # natively: `_core.Cueing`
        @overload  # type: ignore[override]
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> Cue: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...

    if TYPE_CHECKING:

        @overload
        def handler(self, fn: Callable[[S], V]) -> Callable[[S], V]: ...
        @overload
        def handler(self, fn: Callable[[S, LinkInfo], V]) -> Callable[[S, LinkInfo], V]: ...

    def handler(self, fn: Any) -> Any:
        """Decorates the method ``(self)`` that computes the value; as ``(self, link)`` it computes one for each way in
        which links write the lane's query and fragment.
        """
        from shoal.handlers import mark

        return mark(fn, "handler", self)

    if not TYPE_CHECKING:

        def __set__(self, obj: Any, value: Any) -> None:
            raise _no_value(self, "cue()")

    def _enter(self, schema: Schema) -> None:
        self.number = schema.next_demand()

    def _resolve(self, schema: Schema) -> None:
        try:
            self.form = form_of(self.type)
        except Misfit as misfit:
            raise self._misfit(misfit) from None

    def _declare(self, schema: Schema) -> None:
        found = _marked(self, schema, "handler", 0, "(self) or (self, link)")
        if found is None:
            raise self._mistake("it has no handler", f"compute it: @{self.attribute}.handler def compute(self)")
        function, linked = found
        encode = self.form.encoder(self._label)

        def compute(twin: Any, key: None, link: LinkInfo | None) -> Any:
            value = function(twin, link) if linked else function(twin)
            return value if encode is None else encode(value)

        entry = DemandLane(self.name, None, self.form.column, self.form.nullable, linked)
        schema.add_demand(entry, compute, None)
        self._bind(self._label, "demand", self.number)


class DemandMap(Linkable, Generic[K, V], _core.Teller):
    """Values by key that its handler computes, each as ``Demand``. None: the key is gone."""

    _kind = "a demand map"
    _links_as = "map"
    _place = "demand"
    name: str
    # Set by _enter and _resolve.
    number: int
    key_form: Form
    form: Form
    _encode_key: Callable[[Any], Any] | None

    def __init__(
        self, key: TypeForm[K], value: TypeForm[V], /, *, name: str = "", unit: str = "", doc: str = ""
    ) -> None:
        super().__init__(name, unit, doc)
        self.key: Any = key
        self.value: Any = value

    if TYPE_CHECKING:
        # natively: `_core.CueingKey`
        @overload  # type: ignore[override]
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> CueKey[K]: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...

    if TYPE_CHECKING:

        @overload
        def handler(self, fn: Callable[[S, K], V | None]) -> Callable[[S, K], V | None]: ...
        @overload
        def handler(self, fn: Callable[[S, K, LinkInfo], V | None]) -> Callable[[S, K, LinkInfo], V | None]: ...

    def handler(self, fn: Any) -> Any:
        """Decorates the method ``(self, key)`` that computes a key's value, None where it has none; as
        ``(self, key, link)`` it computes one for each way in which links write the lane's query and fragment.
        """
        from shoal.handlers import mark

        return mark(fn, "handler", self)

    if TYPE_CHECKING:

        @overload
        def keys(self, fn: Callable[[S], Iterable[K]]) -> Callable[[S], Iterable[K]]: ...
        @overload
        def keys(self, fn: Callable[[S, LinkInfo], Iterable[K]]) -> Callable[[S, LinkInfo], Iterable[K]]: ...

    def keys(self, fn: Any) -> Any:
        """Decorates the method ``(self)``, or ``(self, link)``, that gives all keys: what a link that asks for the
        present state is told of. Without it such a link begins empty.
        """
        from shoal.handlers import mark

        return mark(fn, "keys", self)

    if not TYPE_CHECKING:

        def __set__(self, obj: Any, value: Any) -> None:
            raise _no_value(self, "cue(key)")

    def _enter(self, schema: Schema) -> None:
        self.number = schema.next_demand()

    def _resolve(self, schema: Schema) -> None:
        try:
            self.key_form, self.form = form_of(self.key), form_of(self.value)
        except Misfit as misfit:
            raise self._misfit(misfit) from None
        if self.key_form.type is Any:
            raise self._mistake("Any is no key's type", "name the type of its keys: `str | int`")
        if self.key_form.nullable:
            raise self._mistake("None is no key", "take it out of the key's type")
        if self.form.nullable:
            self.form = self.form.required()
        self._encode_key = self.key_form.encoder("a key")

    def _declare(self, schema: Schema) -> None:
        found = _marked(self, schema, "handler", 1, "(self, key) or (self, key, link)")
        if found is None:
            raise self._mistake("it has no handler", f"compute it: @{self.attribute}.handler def row(self, key)")
        function, linked = found
        encode, encode_key = self.form.encoder(self._label), self._encode_key
        decode_key = self.key_form.decoder()

        def compute(twin: Any, key: Any, link: LinkInfo | None) -> Any:
            key = key if decode_key is None else decode_key(key)
            value = function(twin, key, link) if linked else function(twin, key)
            return value if value is None or encode is None else encode(value)

        keys = _marked(self, schema, "keys", 0, "(self) or (self, link)")
        all_keys: Callable[..., Any] | None = None
        if keys is not None:
            give, with_link = keys

            def all_keys(twin: Any, link: LinkInfo | None) -> list[Any]:
                given = give(twin, link) if with_link else give(twin)
                return list(given) if encode_key is None else [encode_key(key) for key in given]

        linked = linked or (keys is not None and keys[1])
        entry = DemandLane(self.name, self.key_form.column, self.form.column, True, linked, keys is not None)
        schema.add_demand(entry, compute, all_keys)
        self._bind(self._label, "demand map", self.number, self.key_form.column, encode_key)


Method = tuple[Callable[..., Any], bool]


def _marked(
    lane: Demand[Any] | DemandMap[Any, Any], schema: Schema, mark: str, count: int, shape: str
) -> Method | None:
    """A marked method, and whether it takes the link, too. Errors: DeclarationError."""
    found = schema.marked(mark, lane)
    if found is None:
        return None
    method, function = found
    if is_async(function):
        raise schema._misplaced(
            function,
            method,
            f"a @{mark} of {lane._kind} cannot be async",
            "it computes from the twin's own lanes; fetch what it needs by a command or a timer, and cue then",
        )
    for linked in (False, True):
        if takes(function, count + linked):
            return function, linked
    raise schema._misplaced(function, method, f"the @{mark} of {lane._label} must take {shape}")


def _no_value(lane: Demand[Any] | DemandMap[Any, Any], cue: str) -> WrongType:
    return WrongType(
        f"{lane._label} is {lane._kind}: its handler computes it; say that it may have changed by "
        f"self.{lane.attribute}.{cue}"
    )
