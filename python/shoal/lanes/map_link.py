"""Links of a twin to a map lane of another twin, and what joins share with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Never, Self, overload

from shoal import _core
from shoal.errors import WrongType
from shoal.lanes.lane import MISSING
from shoal.lanes.linked import Opened, Single, behind, plain
from shoal.lanes.map import Map
from shoal.variables import K, Save, V

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from shoal.schema import Schema
    from shoal.twin import Twin


class CopyView(Mapping[K, V]):
    """A map that the core writes, in a twin's hands: reading is of the copy."""

    __slots__ = ()

    _lane: Any
    _twin: Any

    def _view(self) -> Any:
        return _core.Table.__get__(self._lane, self._twin, type(self._twin))

    def __getitem__(self, key: K, /) -> V:
        value: V = self._view()[key]
        return value

    def __iter__(self) -> Iterator[K]:
        return iter(self._view())

    def __len__(self) -> int:
        return len(self._view())

    def __contains__(self, key: object) -> bool:
        return key in self._view()


class MapLinkView(Opened, CopyView[K, V], Mapping[K, V]):
    """A map link in a twin's hands: reading is of the copy, writing goes to the linked lane."""

    __slots__ = ()

    def __setitem__(self, key: K, value: V, /) -> None:
        """Sets an entry of the linked lane, by a command to its twin: the copy changes when that twin says so."""
        lane = self._lane
        self._send({"@update": {"key": lane._plain_key(key)}, **behind(lane._plain_value(value))})

    def __delitem__(self, key: K, /) -> None:
        """Removes an entry of the linked lane, by a command to its twin."""
        self._send({"@remove": {"key": self._lane._plain_key(key)}})

    def clear(self) -> None:
        """Empties the linked lane, by a command to its twin."""
        self._send({"@clear": None})

    def __repr__(self) -> str:
        return f"<{self._lane._label} to {self.target}: {dict(self)!r}>"


class Copied(Map[K, V]):
    """A map that the core writes: the copy of what is linked."""

    def _plain_key(self, key: Any) -> Any:
        return plain(self.key_form, f"a key of {self._label}", key)

    def _plain_value(self, value: Any) -> Any:
        return plain(self.value_form, f"an entry of {self._label}", value)


class MapLink(Single, Copied[K, V], Generic[K, V]):
    """A twin's link to a map lane of one other twin: ``MapLink(Bus.stops)``, or ``MapLink(str, int, lane="stops")``."""

    _kind = "a map link"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            src: Map[K, V],
            /,
            *,
            lane: str = "",
            sync: bool = True,
            prio: float = 0,
            rate: float = 0,
            limit: int = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
        ) -> None: ...
        @overload
        def __init__(
            self,
            src: TypeForm[K],
            value: TypeForm[V],
            /,
            *,
            lane: str,
            sync: bool = True,
            prio: float = 0,
            rate: float = 0,
            limit: int = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
        ) -> None: ...

    def __init__(
        self,
        src: Any,
        value: Any = MISSING,
        /,
        *,
        lane: str = "",
        sync: bool = True,
        prio: float = 0,
        rate: float = 0,
        limit: int = 10_000,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
    ) -> None:
        Map.__init__(self, src, value, limit=limit, name=name, unit=unit, doc=doc, save=save, readonly=True)
        self._lead(src, lane, sync, (prio, rate))

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> MapLinkView[K, V]: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...
        def __set__(self, obj: Twin, value: Never) -> None: ...  # type: ignore[override]
    else:

        def __get__(self, obj: Any, owner: Any = None) -> Any:
            return self if obj is None else MapLinkView(obj, self)

        def __set__(self, obj: Any, value: Any) -> None:
            raise WrongType(f"{self._label} is a link: self.{self.attribute}[key] = value writes the lane it leads to")

    def _enter(self, schema: Schema) -> None:
        Map._enter(self, schema)
        self._enter_target(schema)

    def _resolve(self, schema: Schema) -> None:
        self._find_lane(schema)
        take_map(self, self.source)
        Map._resolve(self, schema)

    def _declare(self, schema: Schema) -> None:
        Map._declare(self, schema)
        self._declare_target(schema)
        schema.add_link(self, self._table("map", {"map": self.number}, {"column": self.target_column}), self._typed())


def take_map(lane: Any, source: Any) -> None:
    """The types of keys and values of the linked map."""
    if source is None:
        if lane.value is MISSING:
            raise lane._mistake(
                "it has one type", f"{type(lane).__name__} takes two, of keys and of values, or a map lane"
            )
        return
    if not isinstance(source, Map):
        raise lane._mistake(f"{source._label} is {source._kind}, and no map", "Link is for lanes with one value")
    lane.key, lane.value = source.key, source.value
